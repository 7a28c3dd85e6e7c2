package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// pair is a master and its replica, which change places at each promotion.
type pair struct {
	t               testing.TB
	master, replica *server

	promotions, revived int
}

// server is a Redis, and the proxy by which a replica follows it.
type server struct {
	*redistest.Process
	client *redis.Client
	rows   *cache.T[int, row] // for what it has of the rows
	line   *faultproxy.Proxy
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, master: newServer(t), replica: newServer(t)}
	p.replica.follow(t, p.master)
	if !p.waitUntilWhole(nil) {
		t.Fatal("the replica does not follow its master")
	}
	return p
}

func newServer(t *testing.T) *server {
	t.Helper()
	process := redistest.NewProcess(t)
	line, err := faultproxy.New(process.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	client := redis.NewClient(&redis.Options{Addr: process.Addr(), MaxRetries: 3})
	c := cache.New(cache.WithRemote(remote.NewGoRedisV9Adapter(client)), cache.WithStatsDisabled(true))
	t.Cleanup(func() {
		c.Close()
		_ = client.Close()
	})
	return &server{process, client, cache.NewT[int, row](c), line}
}

// follow makes the server a replica of another one.
func (s *server) follow(t testing.TB, other *server) {
	host, port, err := net.SplitHostPort(other.line.Addr())
	if err == nil {
		err = s.client.ReplicaOf(context.Background(), host, port).Err()
	}
	if err != nil {
		t.Errorf("making a replica: %v", err)
	}
}

// waitUntilWhole waits until the replica has all that the master had when it was called. It returns false
// if that takes too long, or if stop is closed first.
func (p *pair) waitUntilWhole(stop <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var want int64
	for ctx.Err() == nil {
		if want == 0 {
			want = p.master.replication(ctx, "master_repl_offset")
		}
		if p.replica.info(ctx, "master_link_status") == "up" && p.replica.replication(ctx, "slave_repl_offset") >= want {
			return true
		}
		if !pause(stop, 5*time.Millisecond) {
			return false
		}
	}
	return false
}

func (s *server) info(ctx context.Context, name string) string {
	info, _ := s.client.Info(ctx, "replication").Result() // without an answer it is empty
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

func (s *server) replication(ctx context.Context, name string) (offset int64) {
	_, _ = fmt.Sscan(s.info(ctx, name), &offset) // zero if there is none
	return offset
}

// promote makes the replica the master of the fleet. Before that, the replica gets nothing for a while, so
// it lacks what was acknowledged then. The old master is killed, and follows the new one as an empty
// replica.
func (p *pair) promote(f *fleet, stop <-chan struct{}) {
	if !p.waitUntilWhole(stop) {
		return
	}
	p.master.line.Cut() // what the replica has does not change any more
	had := p.replica.versions(p.t)
	switch rand.IntN(4) {
	case 0:
		pause(stop, rand.N(300*time.Millisecond))
	case 1, 2: // about as long as a load: the changes of the time are those that it must not overlook
		pause(stop, rand.N(50*time.Millisecond))
	}
	const what = "a replica is promoted"
	f.begin(what)
	began := f.now()
	p.master.Kill()
	if err := p.replica.client.ReplicaOf(context.Background(), "NO", "ONE").Err(); err != nil {
		p.t.Errorf("promoting a replica: %v", err)
	}
	// Connections that the proxies are making now still go to the old master, and fail.
	for _, process := range f.processes {
		for _, line := range append(process.data[:1:1], process.bus[0]) {
			line.Redirect(p.replica.Addr())
		}
	}
	now := f.now()
	for key, version := range had {
		newest := f.database.newest(key)
		if version == notThere {
			version = newestAbsent(newest)
		}
		if version < newest {
			f.judge.promoted(key, version, now)
			p.revived++
		}
	}
	f.judge.forgot(began, now)
	p.master, p.replica = p.replica, p.master
	f.redis = p.master.Process
	p.promotions++
	f.end(what)

	p.replica.Restart()
	p.replica.line.Heal()
	p.master.line.Heal()
	p.replica.follow(p.t, p.master)
}

var errMissing = errors.New("the replica does not have all rows")

// versions returns the versions that the server has of the rows, by key.
func (s *server) versions(t testing.TB) map[int]int64 {
	versions := make(map[int]int64)
	all := make([]int, keys)
	for key := range all {
		all[key], versions[key] = key, notThere
	}
	found, err := s.rows.MGetWithErr(context.Background(), prefix, all, func(_ context.Context, missing []int) (map[int]row, error) {
		for _, key := range missing {
			delete(versions, key)
		}
		return nil, errMissing // so nothing is stored
	})
	if err != nil && !errors.Is(err, errMissing) {
		t.Errorf("reading from a replica: %v", err)
	}
	for key, r := range found {
		versions[key] = r.Version
	}
	return versions
}
