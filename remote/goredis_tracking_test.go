package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// tracker is a call of Track that is under way.
type tracker struct {
	t      *testing.T
	cancel context.CancelFunc
	ready  chan struct{} // closed when it is
	ended  chan error

	mu   sync.Mutex
	keys map[string]int // guarded by mu: how often each was reported
	all  int            // guarded by mu: how often all keys were
}

// track calls Track for prefixes. The call ends with the test.
func track(t *testing.T, r any, prefixes ...string) *tracker {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	tr := &tracker{t: t, cancel: cancel, ready: make(chan struct{}), ended: make(chan error, 1), keys: make(map[string]int)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tr.ended <- r.(remote.Tracker).Track(ctx, prefixes, func() { close(tr.ready) }, func(keys []string) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			if keys == nil {
				tr.all++
			}
			for _, key := range keys {
				tr.keys[key]++
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return tr
}

func (tr *tracker) waitReady() *tracker {
	tr.t.Helper()
	select {
	case <-tr.ready:
	case err := <-tr.ended:
		tr.t.Fatalf("Track ended: %v", err)
	case <-time.After(patience):
		tr.t.Fatal("Track does not become ready")
	}
	return tr
}

func (tr *tracker) end() error {
	tr.t.Helper()
	select {
	case err := <-tr.ended:
		return err
	case <-time.After(patience):
		tr.t.Fatal("Track does not end")
		return nil
	}
}

// heard waits until cond is true of the reported keys.
func (tr *tracker) heard(what string, cond func(keys map[string]int, all int) bool) {
	tr.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		tr.mu.Lock()
		ok := cond(tr.keys, tr.all)
		keys := len(tr.keys)
		tr.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			tr.t.Fatalf("not heard: %s; %d keys were", what, keys)
		}
	}
}

func (tr *tracker) heardKey(key string) {
	tr.t.Helper()
	tr.heard(fmt.Sprintf("%q", key), func(keys map[string]int, _ int) bool { return keys[key] > 0 })
}

// forget forgets the reported keys.
func (tr *tracker) forget() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	clear(tr.keys)
	tr.all = 0
}

func set(t *testing.T, client redis.Cmdable, key string) {
	t.Helper()
	if err := client.Set(ctx, key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestTrack(t *testing.T) {
	s := redistest.Real(t)
	r := remote.NewGoRedis(s.Client, remote.WithoutTTL())
	p := t.Name() + ":"
	all, some := track(t, r).waitReady(), track(t, r, p+"a", p+"b", p+"a").waitReady()

	other := redis.NewClient(optionsOf(s.Client))
	defer func() { _ = other.Close() }()
	set(t, other, p+"a1")
	if err := r.SetEX(ctx, p+"b1", "v", time.Minute); err != nil { // its own write
		t.Fatal(err)
	}
	set(t, other, p+"c1")
	set(t, other, p+"a2")
	for _, key := range []string{p + "a1", p + "b1", p + "a2"} {
		all.heardKey(key)
		some.heardKey(key)
	}
	all.heardKey(p + "c1")
	some.mu.Lock()
	if n := some.keys[p+"c1"]; n != 0 {
		t.Errorf("a key with another prefix was reported %d times", n)
	}
	some.mu.Unlock()

	some.forget()
	if _, err := r.Del(ctx, p+"a1"); err != nil {
		t.Fatal(err)
	}
	some.heardKey(p + "a1")
	if err := other.Set(ctx, p+"a-short", "v", 20*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	some.heard("an expiry", func(keys map[string]int, _ int) bool { return keys[p+"a-short"] >= 2 })
	if err := other.Eval(ctx, `redis.call("set", KEYS[1], "v")`, []string{p + "a-script"}).Err(); err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	some.heardKey(p + "a-script")
}

func TestTrackReportsFlushes(t *testing.T) {
	s := own(t)
	tr := track(t, remote.NewGoRedisV9Adapter(s.Client), "some:").waitReady()
	set(t, s.Client, "key")
	if err := s.Client.FlushDB(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	tr.heard("FLUSHDB", func(_ map[string]int, all int) bool { return all > 0 })
	set(t, s.Client, "some:key")
	tr.heardKey("some:key")
}

func TestTrackReportsOtherDatabases(t *testing.T) {
	s := own(t)
	options := optionsOf(s.Client)
	tr := track(t, remote.NewGoRedisV9Adapter(s.Client)).waitReady()
	options.DB = 1
	other := redis.NewClient(options)
	defer func() { _ = other.Close() }()
	set(t, other, "elsewhere")
	tr.heardKey("elsewhere")
}

func TestTrackReportsManyKeys(t *testing.T) {
	s := redistest.Real(t)
	tr := track(t, remote.NewGoRedisV9Adapter(s.Client), t.Name()).waitReady()
	for _, burst := range []int{1, 1000, 50_000} {
		tr.forget()
		values := make(map[string]any, burst)
		for i := range burst {
			values[fmt.Sprint(t.Name(), burst, ":", i)] = "v"
		}
		if err := s.Client.MSet(ctx, values).Err(); err != nil {
			t.Fatal(err)
		}
		tr.heard(fmt.Sprint(burst, " keys"), func(keys map[string]int, _ int) bool { return len(keys) == burst })
	}
}

func TestTrackEndsWithItsContext(t *testing.T) {
	s := redistest.Real(t)
	connections := func() int {
		list, err := s.Client.ClientList(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(list, "name=tracked-in-"+t.Name())
	}
	options := optionsOf(s.Client)
	options.ClientName = "tracked-in-" + t.Name()
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	tr := track(t, remote.NewGoRedisV9Adapter(client)).waitReady()
	if n := connections(); n != 2 { // the client's, which was asked for its server, and the one that listens
		t.Errorf("there are %d connections", n)
	}
	tr.cancel()
	began := time.Now()
	if err := tr.end(); !errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
		t.Errorf("it ended after %s with %v", time.Since(began), err)
	}
	_ = client.Close()
	for end := time.Now().Add(patience); connections() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", connections())
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := remote.NewGoRedisV9Adapter(s.Client).(remote.Tracker).Track(ended, nil, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a ctx that has ended: %v", err)
	}
}

func TestTrackEndsWithItsConnection(t *testing.T) {
	s := own(t)
	r := remote.NewGoRedisV9Adapter(s.Client)
	tr := track(t, r).waitReady()
	if err := s.Client.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	if err := tr.end(); err == nil || errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), s.Client.Options().Addr) {
		t.Errorf("it ended with %v, want an error that names the server", err)
	}
	tr = track(t, r).waitReady()
	set(t, s.Client, "key")
	tr.heardKey("key")
}

func TestTrackEndsWithItsClient(t *testing.T) {
	s := redistest.Real(t)
	client := redis.NewClient(optionsOf(s.Client))
	tr := track(t, remote.NewGoRedisV9Adapter(client)).waitReady()
	_ = client.Close()
	if err := tr.end(); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("it ended with %v", err)
	}
}

func TestTrackNoticesSilence(t *testing.T) {
	s := redistest.Real(t)
	client, proxy := proxied(t, s.Client)
	r := remote.NewGoRedisV9Adapter(client)
	remote.SetPings(r, 40*time.Millisecond)
	tr := track(t, r).waitReady()
	select {
	case err := <-tr.ended:
		t.Fatalf("it ended with a server that answers: %v", err)
	case <-time.After(400 * time.Millisecond):
	}
	proxy.BlackHole(faultproxy.Both)
	if err := tr.end(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("it ended with %v", err)
	}
}

// A client whose address is a name, or which asks Sentinel, speaks to another server after a
// failover. The old server may still run.
func TestTrackNoticesAnotherServer(t *testing.T) {
	one, two := own(t), own(t)
	var second atomic.Bool
	options := optionsOf(one.Client)
	dial := options.Dialer
	options.Dialer = func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		if second.Load() {
			addr = two.Client.Options().Addr
		}
		return dial(ctx, network, addr)
	}
	options.ConnMaxLifetime = 100 * time.Millisecond
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	tr := track(t, remote.NewGoRedisV9Adapter(client)).waitReady()
	second.Store(true)
	if err := tr.end(); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("it ended with %v", err)
	}
	tr = track(t, remote.NewGoRedisV9Adapter(client)).waitReady()
	set(t, two.Client, "key")
	tr.heardKey("key")
}
