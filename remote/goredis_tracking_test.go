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

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// tracker is a Track that is under way.
type tracker struct {
	t      *testing.T
	cancel context.CancelFunc
	ready  chan struct{} // closed when it is
	ended  chan error

	mu   sync.Mutex
	keys map[string]int // guarded by mu: how often each was reported
	all  int            // guarded by mu: how often all keys were
}

// track begins to track prefixes. It ends with the test.
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

// heard waits until cond holds of what was reported.
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

// forget forgets what was reported.
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

func TestTrackHearsOfFlushes(t *testing.T) {
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

func TestTrackHearsOfOtherDatabases(t *testing.T) {
	s := own(t)
	options := optionsOf(s.Client)
	tr := track(t, remote.NewGoRedisV9Adapter(s.Client)).waitReady()
	options.DB = 1
	other := redis.NewClient(options)
	defer func() { _ = other.Close() }()
	set(t, other, "elsewhere")
	tr.heardKey("elsewhere")
}

func TestTrackHearsOfManyKeys(t *testing.T) {
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

// A client that follows a name, or Sentinel, speaks to another server after a failover, while
// the old one may still be there.
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

func TestTrackTakesTheClientsOptions(t *testing.T) {
	s := redistest.Real(t)
	for _, protocol := range []int{2, 3} {
		var connected atomic.Int64
		options := optionsOf(s.Client)
		options.Protocol, options.ReadTimeout, options.MinIdleConns = protocol, -1, 0
		options.OnConnect = func(context.Context, *redis.Conn) error {
			connected.Add(1)
			return nil
		}
		client := redis.NewClient(options)
		defer func() { _ = client.Close() }()
		set(t, client, "key")
		before, was := connected.Load(), *client.Options()
		tr := track(t, remote.NewGoRedisV9Adapter(client)).waitReady()
		if n := connected.Load() - before; n != 1 {
			t.Errorf("OnConnect was called %d times", n)
		}
		set(t, client, "key")
		tr.heardKey("key")
		if now := client.Options(); now.Protocol != was.Protocol || now.PoolSize != was.PoolSize || now.PushNotificationProcessor != was.PushNotificationProcessor {
			t.Errorf("the options of the client were altered: %+v", now)
		}
		if client.GetPushNotificationHandler("invalidate") != nil {
			t.Error("the client got a handler")
		}
	}
	options := optionsOf(s.Client)
	boom := errors.New("boom")
	options.OnConnect = func(context.Context, *redis.Conn) error { return boom }
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	if err := track(t, remote.NewGoRedisV9Adapter(client)).end(); !errors.Is(err, boom) || errors.Is(err, remote.ErrUnsupported) {
		t.Errorf("with an OnConnect that fails: %v", err)
	}
}

func TestTrackingIsNotAllowed(t *testing.T) {
	s := own(t)
	t.Run("tracking", func(t *testing.T) {
		r := remote.NewGoRedisV9Adapter(aclUser(t, s, "~*", "+@all", "&*", "-client|tracking"))
		err := track(t, r).end()
		if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), "+client|tracking") || !strings.Contains(err.Error(), "WithSyncLocal(true)") {
			t.Errorf("Track: %v", err)
		}
	})
	for name, rules := range map[string][]string{
		"info, channels and pings": {"~*", "+@all", "resetchannels", "-info", "-ping"},
		"subscribe":                {"~*", "+@all", "&*", "-subscribe"},
		"all but what is needed":   {"~*", "+hello", "+client|tracking", "+set"},
	} {
		t.Run(name, func(t *testing.T) { // it does without
			client := aclUser(t, s, rules...)
			r := remote.NewGoRedisV9Adapter(client)
			remote.SetPings(r, 20*time.Millisecond)
			tr := track(t, r).waitReady()
			time.Sleep(200 * time.Millisecond)
			set(t, client, "key")
			tr.heardKey("key")
		})
	}
}

func TestServersThatCannotTrack(t *testing.T) {
	client := redistest.Embedded(t).Client // it has HELLO, but no CLIENT TRACKING
	old := miniredis.RunT(t)
	old.Server().SetPreHook(refuse("HELLO"))
	ancient := redis.NewClient(&redis.Options{Addr: old.Addr()})
	defer func() { _ = ancient.Close() }()
	for name, c := range map[string]*redis.Client{"CLIENT TRACKING": client, "RESP3": ancient} {
		err := track(t, remote.NewGoRedisV9Adapter(c)).end()
		if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "WithSyncLocal(true)") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if err := track(t, remote.NewGoRedisV9Adapter(client), "a:", "ab", "a:b").end(); !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), `"a:b" together with "a:"`) {
		t.Errorf("with prefixes of which one covers another: %v", err)
	}
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": client.Options().Addr}})
	defer func() { _ = ring.Close() }()
	for _, c := range []redis.Cmdable{ring, client.Pipeline()} {
		err := track(t, remote.NewGoRedisV9Adapter(c)).end()
		if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), fmt.Sprintf("%T", c)) {
			t.Errorf("%T: %v", c, err)
		}
	}
}

// refuse makes a server that does not know the command name.
func refuse(name string) server.Hook {
	return func(c *server.Peer, cmd string, _ ...string) bool {
		if strings.EqualFold(cmd, name) {
			c.WriteError("ERR unknown command '" + strings.ToLower(cmd) + "'")
			return true
		}
		return false
	}
}
