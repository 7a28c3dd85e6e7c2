package resilience

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// trouble is a fault of Redis or of the database.
type trouble struct {
	name  string
	redis func(s *redisServer) // begins the fault; nil if Redis is well
	// load is what the database does instead of answering; nil if it is well.
	load  func(ctx context.Context, db *database) error
	opens bool // it opens the breakers
	real  bool // on a real Redis if there is one, because this is about what it keeps
}

var errDatabase = errors.New("the database has failed")

// troubles are the faults of the table, in its order.
var troubles = []trouble{
	{name: "Redis refuses connections", opens: true, redis: func(s *redisServer) { s.check(s.proxy.Close()) }},
	{name: "Redis is a black hole", opens: true, redis: func(s *redisServer) { s.proxy.BlackHole(faultproxy.Both) }},
	{name: "Redis answers after 2 s", opens: true, redis: func(s *redisServer) { s.proxy.Delay(faultproxy.ToClient, 2*time.Second) }},
	{name: "Redis closes connections in mid-reply", opens: true, redis: func(s *redisServer) { s.hook(breakOff) }},
	{name: "LOADING", opens: true, redis: func(s *redisServer) { s.hook(refuse("LOADING Redis is loading the dataset in memory", reads, writes)) }},
	{name: "READONLY", opens: true, redis: func(s *redisServer) {
		s.hook(refuse("READONLY You can't write against a read only replica.", writes))
	}},
	{name: "OOM", redis: func(s *redisServer) {
		s.hook(refuse("OOM command not allowed when used memory > 'maxmemory'.", growing))
	}},
	{name: "NOAUTH", redis: func(s *redisServer) {
		s.hook(refuse("NOAUTH Authentication required.", reads, writes, handshake))
		s.proxy.HealByReset() // it has been restarted with a password
	}},
	{name: "CLUSTERDOWN", opens: true, redis: func(s *redisServer) { s.hook(refuse("CLUSTERDOWN The cluster is down", reads, writes)) }},
	{name: "Redis restarts without its data", redis: (*redisServer).restart, real: true},
	{name: "the database returns an error", load: func(context.Context, *database) error {
		time.Sleep(queryTime)
		return errDatabase
	}},
	{name: "the database takes 2 s", load: func(ctx context.Context, _ *database) error { return sleep(ctx, 2*time.Second) }},
	{name: "the database hangs, and the loader ignores its ctx", load: func(_ context.Context, db *database) error {
		<-db.released
		return errDatabase
	}},
	{name: "the loader panics", load: func(context.Context, *database) error { panic("a loader panics") }},
}

// Commands that the adapter for go-redis sends without fences and leases.
var (
	reads     = []string{"GET", "MGET", "PTTL", "EXISTS"}
	writes    = []string{"SET", "DEL", "PSETEX", "SETEX"}
	growing   = []string{"SET", "PSETEX", "SETEX"}
	handshake = []string{"HELLO", "AUTH", "CLIENT", "PING"}
)

// refuse answers the commands with an error.
func refuse(reply string, commands ...[]string) server.Hook {
	all := slices.Concat(commands...)
	return func(c *server.Peer, cmd string, _ ...string) bool {
		if !slices.Contains(all, strings.ToUpper(cmd)) {
			return false
		}
		c.WriteError(reply)
		return true
	}
}

// breakOff closes the connection within the reply.
func breakOff(c *server.Peer, cmd string, _ ...string) bool {
	if !slices.Contains(slices.Concat(reads, writes), strings.ToUpper(cmd)) {
		return false
	}
	c.WriteRaw("$100\r\nthe first bytes of")
	c.Flush()
	c.Close()
	return true
}

// redisServer is a Redis that can fail, behind a proxy.
type redisServer struct {
	t     testing.TB
	proxy *faultproxy.Proxy
	mini  *miniredis.Miniredis // nil if it is a real one
	real  *redistest.Process
}

func newRedisServer(t testing.TB, realOne bool) *redisServer {
	s := &redisServer{t: t}
	var addr string
	if _, err := exec.LookPath("redis-server"); realOne && err == nil {
		s.real = redistest.NewProcess(t)
		addr = s.real.Addr()
	} else {
		s.mini = miniredis.RunT(t)
		addr = s.mini.Addr()
	}
	var err error
	if s.proxy, err = faultproxy.New(addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.check(s.proxy.Close()) })
	return s
}

func (s *redisServer) check(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

func (s *redisServer) hook(h server.Hook) { s.mini.Server().SetPreHook(h) }

// pass lets the time of an embedded Redis pass, which has no clock of its own.
func (s *redisServer) pass(d time.Duration) {
	time.Sleep(d)
	if s.mini != nil {
		s.mini.FastForward(d)
	}
}

func (s *redisServer) restart() {
	if s.real != nil {
		s.real.Kill()
		s.real.Restart()
		return
	}
	s.mini.FlushAll()
	s.proxy.HealByReset()
}

// queryTime is how long a query of the database takes while it is well.
const queryTime = 20 * time.Millisecond

// database is what the loaders read. Its values begin with the number of the version that it had then.
type database struct {
	version  atomic.Int32
	loads    atomic.Int64
	load     atomic.Pointer[func(ctx context.Context, db *database) error] // nil while it is well
	released chan struct{}                                                 // closed at the end of the test
}

func (db *database) rows(ctx context.Context, ids []int) (map[int]string, error) {
	db.loads.Add(1)
	if load := db.load.Load(); load != nil {
		if err := (*load)(ctx, db); err != nil {
			return nil, err
		}
	} else if err := sleep(ctx, queryTime); err != nil {
		return nil, err
	}
	found := make(map[int]string, len(ids))
	for _, id := range ids {
		found[id] = fmt.Sprintf("%d of %d", db.version.Load(), id)
	}
	return found, nil
}

func (db *database) row(ctx context.Context, id int) (string, error) {
	found, err := db.rows(ctx, []int{id})
	return found[id], err
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
