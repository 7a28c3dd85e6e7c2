package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

const remoteTimeout = 50 * time.Millisecond

// guards are the options that bound what a remote costs that is down.
func guards() []cache.Option {
	return []cache.Option{
		cache.WithRemoteTimeout(remoteTimeout), cache.WithRemoteBreaker(cache.Breaker{MinCalls: 4}), cache.WithSeparatorDisabled(true),
	}
}

// down makes each call of a remote fail.
func down(context.Context, string, ...string) error { return errBoom }

// trip makes the breakers of n open, and leaves the remote down.
func trip(t *testing.T, n *node) {
	t.Helper()
	n.remote.SetFault(down)
	for i := range 4 {
		_ = n.Get(ctx, fmt.Sprint("trip", i), nil)
		_ = n.Delete(ctx, fmt.Sprint("trip", i))
	}
	if err := n.Get(ctx, "trip", nil); !errors.Is(err, cache.ErrRemoteUnavailable) {
		t.Fatalf("the breaker of reads is not open: %v", err)
	}
	if err := n.Delete(ctx, "trip"); !errors.Is(err, cache.ErrRemoteUnavailable) {
		t.Fatalf("the breaker of writes is not open: %v", err)
	}
}

// nobody fails the test if a remote is called.
func nobody(t *testing.T) remotetest.Fault {
	return func(_ context.Context, op string, _ ...string) error {
		t.Errorf("it calls %s", op)
		return errBoom
	}
}

func TestSettingsOfABreakerThatCannotBe(t *testing.T) {
	for want, opt := range map[string]cache.Option{
		"FailureRatio of -0.1":                     cache.WithRemoteBreaker(cache.Breaker{FailureRatio: -0.1}),
		"FailureRatio of 1.1":                      cache.WithRemoteBreaker(cache.Breaker{FailureRatio: 1.1}),
		"FailureRatio of NaN":                      cache.WithRemoteBreaker(cache.Breaker{FailureRatio: math.NaN()}),
		"MinCalls of -1":                           cache.WithRemoteBreaker(cache.Breaker{MinCalls: -1}),
		"Window of -1ns":                           cache.WithRemoteBreaker(cache.Breaker{Window: -1}),
		"OpenFor of -1ns":                          cache.WithRemoteBreaker(cache.Breaker{OpenFor: -1}),
		"WithRemoteDown was given 7; give LoadFro": cache.WithRemoteDown(7),
	} {
		if text := panicText(func() { cache.New(opt) }); !strings.HasPrefix(text, "cache: New: With") || !strings.Contains(text, want) {
			t.Errorf("%q, want %q", text, want)
		}
	}
}

func TestAClientThatDoesNotHeedItsContextIsWarnedOf(t *testing.T) {
	const want = "set ContextTimeoutEnabled"
	for _, heeds := range []bool{false, true} {
		client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: heeds})
		log := captureLog(t)
		for _, r := range []remote.Remote{remote.NewGoRedisV9Adapter(client), remote.NewGoRedis(client, remote.WithoutTTL())} {
			cache.New(cache.WithStatsDisabled(true), cache.WithRemote(r)).Close()
			cache.New(cache.WithStatsDisabled(true), cache.WithRemote(r), cache.WithRemoteTimeout(time.Second)).Close()
		}
		_ = client.Close()
		if got := log.matching(want); (len(got) == 2) == heeds || len(log.lines) != len(got) {
			t.Errorf("heeds its ctx: %t; the log has %q", heeds, log.lines)
		}
	}
}

// A Set that could not be sent: what the remote had before is never read on this node again.
func TestAChangeThatCouldNotBeSentIsNotForgotten(t *testing.T) {
	for name, opts := range map[string][]cache.Option{
		"timeout":           {cache.WithRemoteTimeout(remoteTimeout)},
		"breaker":           {cache.WithRemoteBreaker(cache.Breaker{MinCalls: 4})},
		"both":              guards(),
		"both, and a fence": append(guards(), cache.WithFence(time.Minute)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := both(t, opts...)
				if err := n.Set(ctx, "k", cache.Value("v1")); err != nil {
					t.Fatal(err)
				}
				if name == "timeout" {
					n.remote.SetFault(down)
				} else {
					trip(t, n)
				}
				if err := n.Set(ctx, "k", cache.Value("v2")); err == nil {
					t.Fatal("it is sent")
				}
				n.expectStored(t, "k", "-", "v1")
				n.remote.SetFault(nil)
				for began := time.Now(); time.Since(began) < 20*time.Second; pass(100 * time.Millisecond) {
					if s, err := onceString(n, "k", returns("v2", nil)); s != "v2" || err != nil {
						t.Fatalf("Once: %q, %v", s, err)
					}
					if m, _ := stringsOf(n).MGetWithErr(ctx, "", []string{"k", "other"}, func(_ context.Context, ids []string) (map[string]string, error) {
						return map[string]string{"k": "v2"}, nil
					}); m["k"] != "v2" {
						t.Fatalf("MGet: %q", m)
					}
					var s string
					if err := n.GetSkippingLocal(ctx, "k", &s); err == nil && s != "v2" {
						t.Fatalf("Get: %q", s)
					}
					n.DeleteFromLocalCache("k")
				}
				n.expectStored(t, "k", "-", "v2")
				if got := cache.SyncStateOf(n).Repairs; got != 0 {
					t.Errorf("%d keys wait", got)
				}
			})
		})
	}
}

func TestWritesOfOneKeyDoNotQueueForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRemoteTimeout(remoteTimeout))
		n.remote.SetLatency(time.Hour)
		var texts sync.Map
		var done sync.WaitGroup
		for i := range 20 {
			done.Go(func() {
				began := time.Now()
				var err error
				switch i % 4 {
				case 0:
					err = n.Set(ctx, "k", cache.Value("v"))
				case 1:
					err = n.Delete(ctx, "k")
				case 2:
					err = stringsOf(n).MSet(ctx, "", map[string]string{"k": "v", "l": "v"})
				default:
					err = n.Set(ctx, "k", returns("v", nil))
				}
				texts.Store(fmt.Sprint(err), true)
				if took := time.Since(began); took > 2*remoteTimeout || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, after %s", err, took)
				}
			})
		}
		done.Wait()
		if _, ok := texts.Load("cache: waiting for other changes of \"k\" to end: the remote gave no answer within the 50ms of WithRemoteTimeout"); !ok {
			texts.Range(func(text, _ any) bool { t.Log(text); return true })
			t.Error("no error says that a change waited for others")
		}
		if err := n.Get(ctx, "k", nil); !errors.Is(err, cache.ErrRemoteUncertain) {
			t.Errorf("Get: %v", err)
		}
		n.remote.SetLatency(0)
	})
}

func TestAfterTheTripAMissCostsItsLoad(t *testing.T) {
	for options, opts := range optionSets {
		synctest.Test(t, func(t *testing.T) {
			n := both(t, append(guards(), opts...)...)
			trip(t, n)
			n.remote.SetFault(nobody(t))
			began := time.Now()
			if s, err := onceString(n, "k", returnsAfter(time.Millisecond, "v", nil)); s != "v" || err != nil {
				t.Errorf("%s: Once: %q, %v", options, s, err)
			}
			if s, err := stringsOf(n).Get(ctx, "", "l", func(context.Context, string) (string, error) { return "v", nil }); s != "v" || err != nil {
				t.Errorf("%s: T.Get: %q, %v", options, s, err)
			}
			m, err := stringsOf(n).MGetWithErr(ctx, "", []string{"m", "none"}, func(context.Context, []string) (map[string]string, error) {
				return map[string]string{"m": "v"}, nil
			})
			if len(m) != 1 || !errors.Is(err, cache.ErrRemoteUnavailable) {
				t.Errorf("%s: MGet: %q, %v", options, m, err)
			}
			if took := time.Since(began); took != time.Millisecond {
				t.Errorf("%s: they take %s", options, took)
			}
			for key, want := range map[string]string{"k": "v", "l": "v", "m": "v", "none": "*"} {
				n.expectStored(t, key, want, "-")
			}
			n.remote.SetFault(down)
		})
	}
}

// What is loaded while the remote is down is kept for a short time.
func TestLocalEntriesAreKeptForAShortTimeWhileTheRemoteIsDown(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{0: 5 * time.Second, time.Hour: 5 * time.Second, time.Second: time.Second, -1: time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			n := both(t, guards()...)
			trip(t, n)
			if _, err := onceString(n, "k", returns("v", nil), cache.TTL(ttl)); err != nil {
				t.Fatal(err)
			}
			pass(want * 9 / 10)
			if got := n.inLocal("k"); got != "v" {
				t.Errorf("TTL %s: shortly before its end, it is %q", ttl, got)
			}
			if pass(want / 5); n.inLocal("k") != "-" {
				t.Errorf("TTL %s: it is kept for longer than %s", ttl, want)
			}
		})
	}
}

func TestFailFastDoesNotLoad(t *testing.T) {
	for _, policy := range []cache.RemoteDown{cache.FailFast, cache.StaleOnly} {
		synctest.Test(t, func(t *testing.T) {
			n := both(t, append(guards(), cache.WithRemoteDown(policy), cache.WithRefreshDuration(time.Minute))...)
			_ = n.Set(ctx, "local", cache.Value("v"))
			var loads atomic.Int64
			counting := cache.Do(func(context.Context) (any, error) { loads.Add(1); return "v", nil })
			if s, err := onceString(n, "fresh", counting, cache.Refresh(true)); s != "v" || err != nil || loads.Load() != 1 {
				t.Fatalf("before: %q, %v", s, err)
			}
			trip(t, n)
			n.remote.SetFault(nobody(t))
			if s, err := onceString(n, "local", never(t)); s != "v" || err != nil {
				t.Errorf("a local hit: %q, %v", s, err)
			}
			if _, err := onceString(n, "k", never(t)); !errors.Is(err, cache.ErrRemoteUnavailable) {
				t.Errorf("Once: %v", err)
			}
			withCtx, cancel := context.WithCancel(ctx)
			if _, err := onceStringCtx(withCtx, n, "k", never(t)); !errors.Is(err, cache.ErrRemoteUnavailable) {
				t.Errorf("Once with a ctx that can end: %v", err)
			}
			cancel()
			if err := cache.RefreshNow(ctx, n, "fresh"); !errors.Is(err, cache.ErrRemoteUnavailable) {
				t.Errorf("RefreshNow: %v", err)
			}
			_, err := stringsOf(n).Get(ctx, "", "k", func(context.Context, string) (string, error) { t.Error("it loads"); return "", nil })
			if !errors.Is(err, cache.ErrRemoteUnavailable) {
				t.Errorf("T.Get: %v", err)
			}
			m, err := stringsOf(n).MGetWithErr(ctx, "", []string{"local", "k", "l"}, func(context.Context, []string) (map[string]string, error) {
				t.Error("it loads")
				return nil, nil
			})
			if len(m) != 1 || m["local"] != "v" || !errors.Is(err, cache.ErrRemoteUnavailable) {
				t.Errorf("MGet: %q, %v", m, err)
			}
			n.remote.SetFault(down)
			pass(2 * time.Minute) // refreshes are due
			if got := loads.Load(); got != 1 {
				t.Errorf("%d loads", got)
			}
			n.remote.SetFault(nil)
			pass(10 * time.Second)
			if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
				t.Errorf("when the remote is back: %q, %v", s, err)
			}
		})
	}
}

// Before the breaker opens, a read of a failing remote loads, whatever the policy.
func TestFailFastLoadsWhileTheBreakerIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, append(guards(), cache.WithRemoteDown(cache.FailFast))...)
		n.remote.SetFault(down)
		if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
	})
}

// crowd has 64 callers read keys for rounds, each with 200ms, and returns how many reads were answered, and
// the longest of them.
func crowd(n cache.Cache, rounds int, load time.Duration) (answered int, longest time.Duration) {
	var done sync.WaitGroup
	var mu sync.Mutex
	for caller := range 64 {
		done.Go(func() {
			for i := range rounds {
				ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				began := time.Now()
				s, err := onceStringCtx(ctx, n, fmt.Sprint(caller, "-", i), returnsAfter(load, "v", nil))
				took := time.Since(began)
				cancel()
				mu.Lock()
				if longest = max(longest, took); s == "v" && err == nil {
					answered++
				}
				mu.Unlock()
			}
		})
	}
	done.Wait()
	return answered, longest
}

// deafRemote is a Memory that does not say that it heeds a ctx, and does not.
type deafRemote struct{ *remotetest.Memory }

func (deafRemote) HeedsContext() bool { return false }

func TestABlackHoleAnswersEveryReadWithinTheTimeoutAndTheLoad(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := remotetest.NewMemory()
			var r remote.Remote = m
			if heeds {
				m.SetLatency(time.Hour)
			} else {
				r = deafRemote{m}
				m.SetFault(func(context.Context, string, ...string) error { time.Sleep(10 * time.Second); return errBoom })
			}
			c := cache.New(append(guards(), cache.WithRemote(r), cache.WithLocal(stores["TinyLFU"](t)), cache.WithStatsDisabled(true))...)
			answered, longest := crowd(c, 25, time.Millisecond)
			if answered != 64*25 || longest > remoteTimeout+time.Millisecond {
				t.Errorf("heeds its ctx: %t: %d reads of %d are answered, the longest after %s", heeds, answered, 64*25, longest)
			}
			time.Sleep(time.Minute)
			m.SetFault(nil)
			c.Close()
		})
	}
}

// The same with go-redis and a network in between, with and without ContextTimeoutEnabled.
func TestABlackHoleOfRedis(t *testing.T) {
	p := redistest.NewProcess(t)
	for _, heeds := range []bool{true, false} {
		t.Run(fmt.Sprint("ContextTimeoutEnabled=", heeds), func(t *testing.T) {
			proxy, err := faultproxy.New(p.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer proxy.Close()
			// Short timeouts of the client, so that Close need not wait for long.
			client := redis.NewClient(&redis.Options{
				Addr: proxy.Addr(), ContextTimeoutEnabled: heeds, ReadTimeout: time.Second, WriteTimeout: time.Second, MaxRetries: 1,
			})
			defer func() { _ = client.Close() }()
			c := cache.New(cache.WithRemote(remote.NewGoRedisV9Adapter(client)), cache.WithStatsDisabled(true),
				cache.WithRemoteTimeout(remoteTimeout), cache.WithRemoteBreaker(cache.Breaker{}))
			if err := c.Set(ctx, "there", cache.Value("v")); err != nil {
				t.Fatal(err)
			}
			proxy.BlackHole(faultproxy.Both)
			for name, call := range map[string]func(ctx context.Context) error{
				"Get":    func(ctx context.Context) error { return c.Get(ctx, "there", nil) },
				"Set":    func(ctx context.Context) error { return c.Set(ctx, "changed", cache.Value("v")) },
				"Delete": func(ctx context.Context) error { return c.Delete(ctx, "changed") },
			} {
				for _, bound := range []time.Duration{remoteTimeout / 5, time.Hour} {
					ctx, cancel := context.WithTimeout(ctx, bound)
					began := time.Now()
					if err := call(ctx); err == nil {
						t.Errorf("%s: no error", name)
					}
					cancel()
					if took := time.Since(began); took > 10*remoteTimeout { // the client's timeouts are far longer
						t.Errorf("%s, with a ctx of %s, takes %s", name, bound, took)
					}
				}
			}
			answered, longest := crowd(c, 25, time.Millisecond)
			if answered < 64*25*9/10 {
				t.Errorf("%d reads of %d are answered, the longest after %s", answered, 64*25, longest)
			}
			proxy.HealByReset()
			c.Close()
		})
	}
}
