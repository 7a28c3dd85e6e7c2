package remote_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func TestGoRedisV9Adapter(t *testing.T) {
	servers := map[string]func(testing.TB) redistest.Server{"miniredis": redistest.Embedded, "redis": redistest.Real}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			if name == "redis" {
				redistest.Real(t) // skips here rather than in each check
			}
			remotetest.Run(t, func(t *testing.T) remotetest.Target {
				s := server(t)
				return remotetest.Target{Remote: remote.NewGoRedisV9Adapter(s.Client), Advance: s.Advance}
			})
		})
	}
}

func TestGoRedisV9AdapterOnARing(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remotetest.Target {
		one, two := miniredis.RunT(t), miniredis.RunT(t)
		ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": one.Addr(), "two": two.Addr()}})
		t.Cleanup(func() { _ = ring.Close() })
		return remotetest.Target{Remote: remote.NewGoRedisV9Adapter(ring), Advance: func(d time.Duration) {
			one.FastForward(d)
			two.FastForward(d)
		}}
	})
}

func TestGoRedisV9AdapterOnACluster(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remotetest.Target {
		m := miniredis.RunT(t) // it answers as a cluster of one node
		cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}})
		t.Cleanup(func() { _ = cluster.Close() })
		return remotetest.Target{Remote: remote.NewGoRedisV9Adapter(cluster), Advance: m.FastForward}
	})
}

func TestNilIsRedisNil(t *testing.T) {
	if got := remote.NewGoRedisV9Adapter(redistest.Embedded(t).Client).Nil(); got != redis.Nil {
		t.Errorf("Nil() is %v", got)
	}
}

func TestNilClientPanics(t *testing.T) {
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, "the client is nil; give") {
			t.Errorf("panicked with %q, want a sentence", r)
		}
	}()
	remote.NewGoRedisV9Adapter(nil)
}

// PTTL shows the lifetime that was stored.
func TestLifetimesOnTheServer(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		r := remote.NewGoRedisV9Adapter(s.Client).(*remote.GoRedisV9Adapter)
		for _, tt := range []struct{ give, low, high time.Duration }{
			{time.Nanosecond, 0, time.Millisecond},
			{300 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond},
			{1999500 * time.Microsecond, 1900 * time.Millisecond, 2000 * time.Millisecond},
			{time.Hour, time.Hour - time.Second, time.Hour},
			{math.MaxInt64 - 1500*time.Microsecond, math.MaxInt64 - time.Minute, math.MaxInt64},
			{math.MaxInt64, math.MaxInt64 - time.Minute, math.MaxInt64},
		} {
			set := map[string]func(key string) error{
				"SetEX": func(key string) error { return r.SetEX(ctx, key, "v", tt.give) },
				"SetNX": func(key string) error { _, err := r.SetNX(ctx, key, "v", tt.give); return err },
				"SetXX": func(key string) error {
					if err := s.Client.Set(ctx, key, "v", time.Hour).Err(); err != nil {
						return err
					}
					_, err := r.SetXX(ctx, key, "v", tt.give)
					return err
				},
				"MSet":      func(key string) error { return r.MSet(ctx, map[string]any{key: "v"}, tt.give) },
				"MSetItems": func(key string) error { return r.MSetItems(ctx, remote.Item{Key: key, Expire: tt.give}) },
				"SetFenced": func(key string) error {
					_, err := r.SetFenced(ctx, tt.give, remote.FencedItem{Item: remote.Item{Key: key, Expire: tt.give}})
					return err
				},
				// These write a fence or a lease, so the call gets the key without the suffix.
				"OpenFences#f": func(key string) error { _, err := r.OpenFences(ctx, tt.give, key[:len(key)-2]); return err },
				"DelFenced#f":  func(key string) error { return r.DelFenced(ctx, tt.give, key[:len(key)-2]) },
				"CloseFences#f": func(key string) error {
					if err := r.CloseFences(ctx, min(tt.give, time.Second), "s", key[:len(key)-2]); err != nil {
						return err
					}
					return r.CloseFences(ctx, tt.give, "t", key[:len(key)-2])
				},
				"ReopenFences#f": func(key string) error {
					if err := r.CloseFences(ctx, time.Second, "t", key[:len(key)-2]); err != nil {
						return err
					}
					return r.ReopenFences(ctx, tt.give, "t", key[:len(key)-2])
				},
				"AcquireLeases#l": func(key string) error {
					_, err := r.AcquireLeases(ctx, tt.give, remote.LeaseAsk{Key: key[:len(key)-2], Token: "t"})
					return err
				},
				"ReleaseLeases#l": func(key string) error {
					for _, token := range []string{"t", "u"} {
						if _, err := r.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: key[:len(key)-2], Token: token}); err != nil {
							return err
						}
					}
					_, err := r.ReleaseLeases(ctx, tt.give, remote.LeaseEnd{Key: key[:len(key)-2], Token: "t", Failure: "why"})
					return err
				},
			}
			for name, call := range set {
				name, suffix, _ := strings.Cut(name, "#")
				key := fmt.Sprintf("{%s %s}", name, tt.give)
				if suffix != "" {
					key += "#" + suffix
				}
				if err := call(key); err != nil {
					t.Errorf("%s(%s): %v", name, tt.give, err)
					continue
				}
				got, err := s.Client.PTTL(ctx, key).Result()
				gone := got == -2 && tt.give < time.Millisecond
				if err != nil || !gone && (got < tt.low || got > tt.high) {
					t.Errorf("%s(%s): the server holds it for %s, %v", name, tt.give, got, err)
				}
			}
		}
	})
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

func TestNewGoRedisOfNothing(t *testing.T) {
	for want, create := range map[string]func(){
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
			create()
		}()
	}
}

func TestHeedsContext(t *testing.T) {
	for _, on := range []bool{true, false} {
		clients := map[string]redis.Cmdable{
			"Client":  redis.NewClient(&redis.Options{ContextTimeoutEnabled: on}),
			"Cluster": redis.NewClusterClient(&redis.ClusterOptions{ContextTimeoutEnabled: on}),
			"Ring":    redis.NewRing(&redis.RingOptions{ContextTimeoutEnabled: on}),
		}
		for name, client := range clients {
			for _, r := range []remote.Remote{remote.NewGoRedisV9Adapter(client), remote.NewGoRedis(client, remote.WithoutTTL())} {
				if got := r.(remote.ContextHeeder).HeedsContext(); got != on {
					t.Errorf("%s, %T: %t, want %t", name, r, got, on)
				}
			}
			_ = client.(interface{ Close() error }).Close()
		}
	}
	var other struct{ redis.Cmdable }
	if remote.NewGoRedisV9Adapter(other).(remote.ContextHeeder).HeedsContext() {
		t.Error("a client that is not known counts as one that heeds its ctx")
	}
}
