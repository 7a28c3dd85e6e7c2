package remote_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestAutoPipeline(t *testing.T) {
	for name, server := range map[string]func(testing.TB) redistest.Server{"miniredis": redistest.Embedded, "redis": redistest.Real} {
		t.Run(name, func(t *testing.T) {
			if name == "redis" {
				redistest.Real(t)
			}
			remotetest.Run(t, func(t *testing.T) remotetest.Target {
				s := server(t)
				return remotetest.Target{Remote: remote.NewGoRedis(s.Client, remote.WithAutoPipeline()), Advance: s.Advance}
			})
		})
	}
}

func TestAutoPipelineOnACluster(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remotetest.Target {
		m := miniredis.RunT(t)
		cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}})
		t.Cleanup(func() { _ = cluster.Close() })
		return remotetest.Target{Remote: remote.NewGoRedis(cluster, remote.WithAutoPipeline()), Advance: m.FastForward}
	})
}

// roundTrips counts what a client sends.
type roundTrips struct{ single, pipelines atomic.Int64 }

func (*roundTrips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.single.Add(1)
		return next(ctx, cmd)
	}
}

func (r *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		switch cmds[0].Name() {
		case "hello", "client", "auth", "select": // a new connection
		default:
			r.pipelines.Add(1)
		}
		return next(ctx, cmds)
	}
}

func TestAutoPipelineSharesRoundTrips(t *testing.T) {
	s := redistest.Embedded(t)
	var trips roundTrips
	s.Client.AddHook(&trips)
	r := remote.NewGoRedis(s.Client, remote.WithAutoPipeline())
	const callers, reads = 100, 20
	for i := range callers {
		if err := r.SetEX(ctx, fmt.Sprint("k", i), fmt.Sprint("v", i), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	trips.single.Store(0)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range reads {
				got, err := r.Get(ctx, fmt.Sprint("k", i))
				timed, ttlErr := r.(remote.TTLGetter).GetWithTTL(ctx, fmt.Sprint("k", i))
				if want := fmt.Sprint("v", i); err != nil || ttlErr != nil || got != want || timed.Data != want || timed.TTL <= 0 {
					t.Errorf("k%d is %q, %v and %v, %v", i, got, err, timed, ttlErr)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := trips.single.Load() + trips.pipelines.Load(); n > callers*reads {
		t.Errorf("%d reads took %d round trips", 2*callers*reads, n)
	}
}

func TestAutoPipelineLeavesWithItsContext(t *testing.T) {
	s := redistest.Embedded(t)
	block := make(chan struct{})
	s.Client.AddHook(blocking{block})
	defer close(block)
	r := remote.NewGoRedis(s.Client, remote.WithAutoPipeline())
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := r.Get(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get: %v", err)
	}
	if _, err := r.(remote.TTLGetter).GetWithTTL(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("GetWithTTL: %v", err)
	}
}

// blocking holds pipelines back.
type blocking struct{ until chan struct{} }

func (blocking) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (blocking) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (b blocking) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		<-b.until
		return next(ctx, cmds)
	}
}

func TestAutoPipelineWithoutAServer(t *testing.T) {
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	r := remote.NewGoRedis(client, remote.WithAutoPipeline())
	m.Close()
	if got, err := r.Get(ctx, "k"); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("Get: %q, %v", got, err)
	}
	if got, err := r.(remote.TTLGetter).GetWithTTL(ctx, "k"); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("GetWithTTL: %v, %v", got, err)
	}
}

// The pipeliner belongs to the client: others may close it.
func TestAutoPipelineThatSomebodyClosed(t *testing.T) {
	s := redistest.Embedded(t)
	r := remote.NewGoRedis(s.Client, remote.WithAutoPipeline())
	auto, err := s.Client.AsyncAutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	if err := auto.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.SetEX(ctx, "k", "v", time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(ctx, "k"); err != nil || got != "v" {
		t.Errorf("Get: %q, %v", got, err)
	}
	if got, err := r.(remote.TTLGetter).GetWithTTL(ctx, "k"); err != nil || got.Data != "v" {
		t.Errorf("GetWithTTL: %v, %v", got, err)
	}
}

func TestAutoPipelineOfAClientThatCannot(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{})
	defer func() { _ = ring.Close() }()
	client := redis.NewClient(&redis.Options{})
	_ = client.Close()
	for name, client := range map[string]redis.Cmdable{"ring": ring, "closed": client, "pipeline": client.Pipeline()} {
		text := func() (text string) {
			defer func() { text = fmt.Sprint(recover()) }()
			remote.NewGoRedis(client, remote.WithAutoPipeline())
			return ""
		}()
		if !strings.Contains(text, "WithAutoPipeline") {
			t.Errorf("%s: panicked with %q", name, text)
		}
	}
}

func TestWithoutTTL(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		r := remote.NewGoRedis(s.Client, remote.WithoutTTL())
		if _, ok := r.(remote.TTLGetter); ok {
			t.Error("it tells remaining lifetimes")
		}
		for _, ok := range []bool{is[remote.ItemSetter](r), is[remote.KeysDeleter](r), is[remote.CompareDeleter](r), is[remote.Fencer](r), is[remote.Leaser](r)} {
			if !ok {
				t.Error("another optional ability is missing")
			}
		}
		if err := r.MSet(ctx, map[string]any{"a": "1", "b": ""}, time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := s.Client.LPush(ctx, "list", "x").Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := r.MGet(ctx, "a", "absent", "list", "b"); err == nil || len(got) != 2 || !strings.Contains(err.Error(), `"list"`) {
			t.Errorf("MGet: %v, %v, want the error of the list", got, err)
		}
		var trips roundTrips
		s.Client.AddHook(&trips)
		got, err := r.MGet(ctx, "a", "absent", "b")
		if err != nil || len(got) != 2 || got["a"] != "1" || got["b"] != "" {
			t.Errorf("MGet: %v, %v", got, err)
		}
		if n := trips.single.Load() + trips.pipelines.Load(); n != 1 {
			t.Errorf("MGet took %d round trips", n)
		}
	})
}

func is[I any](v any) bool {
	_, ok := v.(I)
	return ok
}

func TestWithoutTTLPassesTheSuite(t *testing.T) {
	for name, wrap := range map[string]func(*redis.Client) redis.Cmdable{
		"single node": func(c *redis.Client) redis.Cmdable { return c },
		"other":       func(c *redis.Client) redis.Cmdable { return struct{ redis.Cmdable }{c} },
	} {
		t.Run(name, func(t *testing.T) {
			remotetest.Run(t, func(t *testing.T) remotetest.Target {
				s := redistest.Embedded(t)
				return remotetest.Target{Remote: remote.NewGoRedis(wrap(s.Client), remote.WithoutTTL()), Advance: s.Advance}
			})
		})
	}
}

// A batch beyond the size of a pipeline is sent in parts, and nothing of it is lost.
func TestLargeBatchesAreSentInParts(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		var trips roundTrips
		s.Client.AddHook(&trips)
		r := remote.NewGoRedisV9Adapter(s.Client).(*remote.GoRedisV9Adapter)
		const n = 2345
		values := make(map[string]any)
		keys := make([]string, n)
		items := make([]remote.Item, n)
		for i := range keys {
			keys[i] = fmt.Sprint("k", i)
			values[keys[i]] = keys[i]
			items[i] = remote.Item{Key: keys[i], Data: []byte(keys[i]), Expire: time.Minute}
		}
		check := func(what string, got map[string]string, err error) {
			t.Helper()
			if err != nil || len(got) != n {
				t.Errorf("%s: %d keys, %v", what, len(got), err)
			}
			for k, v := range got {
				if k != v {
					t.Errorf("%s: %q is %q", what, k, v)
				}
			}
			if p := trips.pipelines.Swap(0); p != 5 {
				t.Errorf("%s took %d pipelines, want 5 of 500 keys", what, p)
			}
		}
		read := func() (map[string]string, error) {
			got, err := r.MGet(ctx, keys...)
			texts := make(map[string]string)
			for k, v := range got {
				texts[k] = v.(string)
			}
			return texts, err
		}
		err := r.MSet(ctx, values, time.Minute)
		check("MSet", same(keys), err)
		got, err := read()
		check("MGet", got, err)
		err = r.MSetItems(ctx, items...)
		check("MSetItems", same(keys), err)
		withTTL, err := r.MGetWithTTL(ctx, keys...)
		texts := make(map[string]string)
		for k, v := range withTTL {
			if v.TTL <= 0 {
				t.Errorf("%q has %s left", k, v.TTL)
			}
			texts[k] = v.Data
		}
		check("MGetWithTTL", texts, err)
		err = r.MDel(ctx, keys...)
		check("MDel", same(keys), err)
		if got, err := read(); len(got) != 0 || err != nil {
			t.Errorf("after MDel, %d keys are there, %v", len(got), err)
		}
	})
}

func same(keys []string) map[string]string {
	m := make(map[string]string)
	for _, k := range keys {
		m[k] = k
	}
	return m
}

// A node of a cluster refuses an MGET of keys in several slots: they are read one by one.
func TestMGetThatIsRefused(t *testing.T) {
	s := redistest.Embedded(t)
	s.Client.AddHook(refusing{})
	r := remote.NewGoRedisV9Adapter(s.Client).(*remote.GoRedisV9Adapter)
	if err := r.MSet(ctx, map[string]any{"a": "1", "b": "2"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	got, err := r.MGetWithTTL(ctx, "a", "absent", "b")
	if err != nil || len(got) != 2 || got["a"].Data != "1" || got["b"].TTL != time.Minute {
		t.Errorf("MGetWithTTL: %v, %v", got, err)
	}
}

// refusing answers MGET as a cluster's node does.
type refusing struct{}

func (refusing) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (refusing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (refusing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if cmd.Name() == "mget" {
				cmd.SetErr(crossSlot{})
				err = crossSlot{}
			}
		}
		return err
	}
}

type crossSlot struct{}

func (crossSlot) Error() string { return "CROSSSLOT Keys in request don't hash to the same slot" }
func (crossSlot) RedisError()   {}

// panicking panics in the pipelines of a batch.
type panicking struct{}

func (panicking) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (panicking) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (panicking) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if name := cmds[0].Name(); name == "set" {
			panic("boom")
		}
		return next(ctx, cmds)
	}
}

// A panic in a part of a batch is the caller's, as that of a small one.
func TestAPanicInAPartReachesTheCaller(t *testing.T) {
	s := redistest.Embedded(t)
	s.Client.AddHook(panicking{})
	r := remote.NewGoRedis(s.Client)
	values := make(map[string]any)
	for i := range 1200 {
		values[fmt.Sprint("k", i)] = "v"
	}
	defer func() {
		if p := recover(); p != "boom" {
			t.Errorf("panicked with %v", p)
		}
	}()
	_ = r.MSet(ctx, values, time.Minute)
}

// A value is never read with the longer lifetime of another one, whatever comes in between,
// and whether or not go-redis keeps the order of commands.
func TestAutoPipelineReadsTheLifetimeOfItsValue(t *testing.T) {
	s := redistest.Real(t)
	for name, settings := range map[string]*redis.AutoPipelineOptions{
		"default":   nil,
		"unordered": {Unordered: true, MaxConcurrentBatches: 4},
	} {
		t.Run(name, func(t *testing.T) {
			o := *s.Client.Options()
			o.AutoPipelineOptions = settings
			client := redis.NewClient(&o)
			defer func() { _ = client.Close() }()
			r := remote.NewGoRedis(client, remote.WithAutoPipeline())
			lifetimes := map[string]time.Duration{"long": time.Hour, "short": time.Second}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					for value, ttl := range lifetimes {
						if err := s.Client.Set(ctx, "k", value, ttl).Err(); err != nil {
							t.Error(err)
							return
						}
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
			for range 2000 {
				got, err := r.(remote.TTLGetter).GetWithTTL(ctx, "k")
				if err != nil && !errors.Is(err, redis.Nil) || got.TTL > lifetimes[got.Data] {
					t.Errorf("%v, %v", got, err)
				}
			}
			close(stop)
			wg.Wait()
		})
	}
}

func TestNewGoRedisOfNothing(t *testing.T) {
	for want, make := range map[string]func(){
		"NewGoRedisV9Adapter: the client is nil": func() { remote.NewGoRedisV9Adapter(nil) },
		"NewGoRedis: the client is nil":          func() { remote.NewGoRedis(nil) },
		"NewGoRedis: option 1 is nil":            func() { remote.NewGoRedis(struct{ redis.Cmdable }{}, nil) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, want) {
					t.Errorf("panicked with %q, want %q", text, want)
				}
			}()
			make()
		}()
	}
}
