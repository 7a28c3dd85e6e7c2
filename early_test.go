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

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

const (
	// lifeOfEarly is the TTL of the items of these tests. Their loads take loadOfEarly.
	lifeOfEarly = 10 * time.Second
	loadOfEarly = 100 * time.Millisecond
	// surely is a beta with which each read in the last half of a TTL loads, but for one in a hundred
	// thousand.
	surely = 1e7
)

// early is the option of most of these tests.
var early = []cache.Option{cache.WithEarlyRefresh(surely), cache.WithRemoteExpiry(lifeOfEarly), cache.WithSeparatorDisabled(true)}

// readEarly reads "k", and checks the result, and that nobody waited for it.
func (n *node) readEarly(t testing.TB, want string, opts ...cache.ItemOption) {
	t.Helper()
	began := time.Now()
	if s, err := onceString(n, "k", append(opts, cache.TTL(lifeOfEarly))...); s != want || err != nil || time.Since(began) != 0 {
		t.Errorf("got %q, %v, after %s; want %q at once", s, err, time.Since(began), want)
	}
}

// begin loads "1" into "k" with a loader that counts, and lets the first half of its TTL pass.
func (n *node) begin(t testing.TB, opts ...cache.ItemOption) *counter {
	t.Helper()
	loads := &counter{took: loadOfEarly}
	if s, err := onceString(n, "k", append(opts, loads.do(), cache.TTL(lifeOfEarly))...); s != "1" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	pass(lifeOfEarly/2 - time.Millisecond)
	return loads
}

// due lets pass what begin has left of the first half.
func due() { pass(2 * time.Millisecond) }

func TestAWrongEarlyRefreshPanics(t *testing.T) {
	for _, beta := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if text := panicText(func() { cache.New(cache.WithEarlyRefresh(beta)) }); !strings.Contains(text, "WithEarlyRefresh was given") {
			t.Errorf("%v: %q", beta, text)
		}
	}
}

func TestAValueIsLoadedBeforeItExpires(t *testing.T) {
	staleNodes(t, early, func(t *testing.T, n *node) {
		loads := n.begin(t)
		n.readEarly(t, "1", never(t)) // in the first half
		due()
		n.counts.take()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { n.readEarly(t, "1", loads.do()) })
		}
		wg.Wait()
		pass(loadOfEarly)
		if loads.calls() != 2 {
			t.Errorf("%d loads", loads.calls())
		}
		n.readEarly(t, "2", never(t))
		if got := n.counts.take(); got != "h*51 lh*51 q" {
			t.Errorf("counted %q", got)
		}
		pass(lifeOfEarly/2 - loadOfEarly)
		n.readEarly(t, "2", never(t))
		pass(2 * loadOfEarly)
		n.readEarly(t, "2", loads.do())
		pass(loadOfEarly)
		n.readEarly(t, "3", never(t))
	})
}

func TestWithoutAReadNothingIsLoadedEarly(t *testing.T) {
	staleNodes(t, early, func(t *testing.T, n *node) {
		n.begin(t)
		pass(lifeOfEarly)
		n.expectOnce(t, "v", nil, returns("v", nil))
	})
}

func TestAnEarlyLoadThatFailsIsTriedAgainAfterAPause(t *testing.T) {
	staleNodes(t, early, func(t *testing.T, n *node) {
		loads := n.begin(t)
		loads.become(0, errBoom)
		due()
		pauses := 0
		for began := time.Now(); time.Since(began) < lifeOfEarly/2-10*time.Millisecond; pass(time.Millisecond) {
			before := loads.calls()
			n.readEarly(t, "1", loads.do())
			synctest.Wait()
			if loads.calls() > before {
				pauses++
			}
		}
		// They begin with 100ms, and each is twice as long as the one before.
		if pauses < 4 || pauses > 7 {
			t.Errorf("it was tried %d times", pauses)
		}
		pass(time.Second)
		n.expectOnce(t, "", errBoom, loads.do())
		loads.become(0, nil)
		if _, err := onceString(n, "k", loads.do(), cache.TTL(lifeOfEarly)); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatDoesNotLoadEarly(t *testing.T) {
	for name, opts := range map[string][]cache.ItemOption{
		"below zero":   {cache.EarlyRefresh(-1)},
		"not a number": {cache.EarlyRefresh(math.NaN())},
		"SetNX":        {cache.SetNX(true)},
	} {
		t.Run(name, func(t *testing.T) {
			staleNodes(t, early, func(t *testing.T, n *node) {
				n.begin(t)
				due()
				n.readEarly(t, "1", append(opts, never(t))...)
				synctest.Wait()
			})
		})
	}
	t.Run("no loader", func(t *testing.T) {
		staleNodes(t, early, func(t *testing.T, n *node) {
			loads := n.begin(t)
			due()
			n.readEarly(t, "1", loads.do()) // nobody waits for its load
			n.readEarly(t, "1")
			var s string
			if err := n.Get(ctx, "k", &s); s != "1" || err != nil {
				t.Errorf("Get: %q, %v", s, err)
			}
			began := time.Now()
			found, err := stringsOf(n).MGetWithErr(ctx, "", []string{"k"}, nil)
			if found["k"] != "1" || err != nil || time.Since(began) != 0 {
				t.Errorf("MGet: %v, %v, after %s", found, err, time.Since(began))
			}
			if s, err := stringsOf(n).Get(ctx, "", "k", nil); s != "1" || err != nil || time.Since(began) != 0 {
				t.Errorf("T.Get: %q, %v, after %s", s, err, time.Since(began))
			}
			pass(time.Second)
			if loads.calls() != 2 {
				t.Errorf("%d loads", loads.calls())
			}
		})
	})
	t.Run("a placeholder", func(t *testing.T) {
		staleNodes(t, append(early, cache.WithNotFoundExpiry(lifeOfEarly)), func(t *testing.T, n *node) {
			n.begin(t)
			n.expectOnce(t, "1", nil)
			_ = n.Set(ctx, "k", returns(nil, cache.ErrNotFound))
			pass(lifeOfEarly * 3 / 4)
			n.expectOnce(t, "", cache.ErrNotFound, never(t))
			synctest.Wait()
		})
	})
}

func TestEarlyRefreshOfOneCall(t *testing.T) {
	opts := []cache.Option{cache.WithRemoteExpiry(lifeOfEarly)}
	staleNodes(t, opts, func(t *testing.T, n *node) {
		loads := n.begin(t, cache.EarlyRefresh(surely))
		due()
		n.readEarly(t, "1", never(t)) // a call without it
		n.readEarly(t, "1", loads.do(), cache.EarlyRefresh(surely))
		pass(loadOfEarly)
		n.readEarly(t, "2", never(t))
	})
}

func TestWhatSetHasStoredIsLoadedEarly(t *testing.T) {
	staleNodes(t, early, func(t *testing.T, n *node) {
		n.begin(t) // measures a load
		_ = n.Set(ctx, "k", cache.Value("set"), cache.TTL(lifeOfEarly))
		pass(lifeOfEarly/2 + time.Millisecond)
		n.readEarly(t, "set", returns("loaded", nil))
		synctest.Wait()
		n.readEarly(t, "loaded", never(t))
	})
}

func TestTypedReadsLoadEarly(t *testing.T) {
	staleNodes(t, early, func(t *testing.T, n *node) {
		users := cache.NewT[int, user](n.Cache)
		version := "a"
		get := func(want string) {
			t.Helper()
			began := time.Now()
			u, err := users.Get(ctx, "u", 1, func(context.Context, int) (user, error) {
				time.Sleep(loadOfEarly)
				return user{ID: 1, Name: version}, nil
			})
			if u.Name != want || err != nil || version != "a" && time.Since(began) != 0 {
				t.Errorf("got %v, %v after %s, want %s", u, err, time.Since(began), want)
			}
		}
		_, _ = users.Fetch(ctx, "u", 1, func(context.Context, int) (user, error) {
			time.Sleep(loadOfEarly)
			return user{ID: 1, Name: "a"}, nil
		}, cache.TTL(lifeOfEarly))
		get("a")
		pass(lifeOfEarly/2 + time.Millisecond)
		version = "b"
		get("a")
		get("a")
		pass(loadOfEarly)
		get("b")
	})
}

func TestABatchLoadsEarly(t *testing.T) {
	staleNodes(t, early, func(t *testing.T, n *node) {
		var calls atomic.Int64
		read := func(want, version string, ids ...int) {
			t.Helper()
			found, err := cache.NewT[int, user](n.Cache).MFetch(ctx, "u", []int{1, 2, 3}, func(_ context.Context, asked []int) (map[int]user, error) {
				calls.Add(1)
				time.Sleep(loadOfEarly)
				return versioned(version, asked...), nil
			}, cache.TTL(lifeOfEarly))
			if names(found) != want || err != nil {
				t.Errorf("got %s, %v, want %s", names(found), err, want)
			}
		}
		read("[1a 2a 3a]", "a")
		_ = n.Delete(ctx, "u2")
		pass(lifeOfEarly/2 + time.Millisecond)
		read("[1a 2b 3a]", "b") // 2 is a miss, and the others are early
		pass(loadOfEarly)
		if calls.Load() != 3 {
			t.Errorf("%d calls of the loader", calls.Load())
		}
		read("[1b 2b 3b]", "c")
		pass(time.Second)
		if calls.Load() != 3 {
			t.Errorf("%d calls of the loader", calls.Load())
		}
	})
}

func TestEarlyRefreshWithoutALocalLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := onlyRemote(t, early...)
		loads := n.begin(t)
		n.readEarly(t, "1", never(t))
		due()
		n.readEarly(t, "1") // no loader
		n.readEarly(t, "1", loads.do())
		n.readEarly(t, "1", loads.do())
		pass(loadOfEarly)
		n.readEarly(t, "2", never(t))
		if loads.calls() != 2 || n.inRemote("k") != "2" {
			t.Errorf("%d loads, %q", loads.calls(), n.inRemote("k"))
		}

		texts := stringsOf(n)
		var calls atomic.Int64
		read := func(want string) {
			t.Helper()
			found, err := texts.MFetch(ctx, "", []string{"a", "b"}, func(_ context.Context, ids []string) (map[string]string, error) {
				v := string(rune('0' + calls.Add(1)))
				time.Sleep(loadOfEarly)
				return map[string]string{"a": v, "b": v}, nil
			}, cache.TTL(lifeOfEarly))
			if found["a"] != want || found["b"] != want || err != nil {
				t.Errorf("got %v, %v, want %s", found, err, want)
			}
		}
		read("1")
		pass(lifeOfEarly/2 + time.Millisecond)
		read("1")
		pass(loadOfEarly)
		read("2")
		pass(time.Second)
		if calls.Load() != 2 {
			t.Errorf("%d calls of the loader", calls.Load())
		}
	})
}

func TestSkipLocalLoadsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, early...)
		loads := n.begin(t, cache.SkipLocal(true))
		due()
		n.readEarly(t, "1", loads.do(), cache.SkipLocal(true))
		pass(loadOfEarly)
		n.readEarly(t, "2", never(t), cache.SkipLocal(true))
	})
}

// measure makes n know how long loads take.
func (n *node) measure(t testing.TB) {
	if _, err := onceString(n, fmt.Sprintf("own of %p", n), returnsAfter(loadOfEarly, "v", nil)); err != nil {
		t.Error(err)
	}
}

// Another node has loaded early: its value is taken from the remote.
func TestTheRemoteIsAskedBeforeAnEarlyLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		one, two := bothOn(t, m, early...), bothOn(t, m, early...)
		two.measure(t)
		loads := one.begin(t)
		two.readEarly(t, "1", never(t)) // it lives for another 5s here
		due()
		one.readEarly(t, "1", loads.do())
		pass(2600 * time.Millisecond)
		two.readEarly(t, "1", never(t))
		synctest.Wait()
		two.readEarly(t, "2", never(t))
	})
}

// The local level keeps values for less time than the remote. Its copies are renewed from there.
func TestAShorterLifeInTheLocalLevelCostsNoLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{remote: remotetest.NewMemory(), counts: &recStats{}}
		store := local.NewOtter(100, time.Second)
		n.local = store
		t.Cleanup(store.Close)
		// The draws are less than 20 × 100 × 100ms.
		n.open(t, []cache.Option{cache.WithLocal(store), cache.WithRemote(n.remote), cache.WithEarlyRefresh(100)})
		loads := &counter{took: loadOfEarly}
		_, _ = onceString(n, "k", loads.do(), cache.TTL(time.Hour))
		for range 20 {
			pass(800 * time.Millisecond)
			if s, err := onceString(n, "k", loads.do(), cache.TTL(time.Hour)); s != "1" || err != nil {
				t.Errorf("got %q, %v", s, err)
			}
			synctest.Wait()
		}
		if loads.calls() != 1 {
			t.Errorf("%d loads", loads.calls())
		}
	})
}

func TestWithLeasesOneNodeLoadsEarly(t *testing.T) {
	for _, leases := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m, opts := remotetest.NewMemory(), early
			if leases {
				opts = append(opts, cache.WithLease(leaseTTL))
			}
			nodes := make([]*node, 5)
			for i := range nodes {
				nodes[i] = bothOn(t, m, opts...)
				nodes[i].measure(t)
			}
			loads := &counter{took: loadOfEarly}
			for _, n := range nodes {
				if s, err := onceString(n, "k", loads.do()); s != "1" || err != nil {
					t.Errorf("got %q, %v", s, err)
				}
			}
			pass(lifeOfEarly/2 + 2*loadOfEarly)
			for _, n := range nodes {
				n.readEarly(t, "1", loads.do())
			}
			pass(2 * loadOfEarly)
			if want := map[bool]int{true: 2, false: 6}[leases]; loads.calls() != want {
				t.Errorf("with leases %v: %d loads, want %d", leases, loads.calls(), want)
			}
			if leases {
				for _, n := range nodes {
					_, _ = onceString(n, "k", loads.do())
					synctest.Wait()
					n.readEarly(t, "2", never(t))
				}
			}
		})
	}
}

// What an early load has changed is told, as other nodes may have the older value until its TTL ends.
func TestOtherNodesAreToldOfAnEarlyLoadThatChangesTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, _ := fleetOf(t, 2, early...)
		v := "old"
		load := cache.Do(func(context.Context) (any, error) { time.Sleep(loadOfEarly); return v, nil })
		for round, want := range []string{"old", "new"} {
			_, _ = onceString(nodes[0], "k", load)
			pass(lifeOfEarly/2 + time.Millisecond)
			if s, err := onceString(nodes[1], "k", never(t), cache.EarlyRefresh(-1)); s != "old" || err != nil {
				t.Errorf("got %q, %v", s, err)
			}
			nodes[0].readEarly(t, "old", load)
			pass(2 * loadOfEarly)
			nodes[0].expectStored(t, "k", want, want)
			if got := nodes[1].inLocal("k"); (got == "-") != (round == 1) {
				t.Errorf("round %d: the other node has %q", round, got)
			}
			v = "new"
		}
	})
}

func TestNothingIsLoadedEarlyWhileTheRemoteGivesNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, early...)
		loads := n.begin(t)
		due()
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		n.readEarly(t, "1", loads.do())
		pass(time.Second)
		n.readEarly(t, "1", loads.do())
		synctest.Wait()
		n.remote.SetFault(nil)
		pass(time.Second)
		if loads.calls() != 1 {
			t.Errorf("%d loads", loads.calls())
		}
		n.readEarly(t, "1", loads.do())
		pass(loadOfEarly)
		n.readEarly(t, "2", never(t))
	})
}

func TestAnEarlyHitIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, early...)
		n.begin(t)
		due()
		var info cache.Info
		n.readEarly(t, "1", never(t), cache.EarlyRefresh(-1), cache.Explain(&info))
		if info.Source != cache.SourceLocal || info.Reason != cache.ReasonNone || info.Stale || info.TTL <= 0 || info.TTL > lifeOfEarly/2 {
			t.Errorf("got %+v", info)
		}
	})
}

// plainStore has the methods of a Local, and no others.
type plainStore struct{ local.Local }

func TestAStoreThatIsNoStaleKeeperLoadsNothingEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{local: stores["TinyLFU"](t), remote: remotetest.NewMemory(), counts: &recStats{}}
		n.open(t, append([]cache.Option{cache.WithLocal(plainStore{n.local}), cache.WithRemote(n.remote)}, early...))
		n.begin(t)
		pass(lifeOfEarly/2 - time.Second)
		n.readEarly(t, "1", never(t))
		synctest.Wait()
	})
}

func TestTheOptionsOfACallReachAWrappedCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithSeparatorDisabled(true))
		texts := cache.NewT[string, string](struct{ cache.Cache }{n.Cache})
		version := "1"
		for _, want := range []string{"1", "1", "2", "2"} {
			s, err := texts.Fetch(ctx, "", "k", func(context.Context, string) (string, error) {
				time.Sleep(loadOfEarly)
				return version, nil
			}, cache.EarlyRefresh(surely), cache.TTL(lifeOfEarly))
			if s != want || err != nil {
				t.Errorf("got %q, %v, want %q", s, err, want)
			}
			pass(loadOfEarly)
			if version == "1" {
				pass(lifeOfEarly / 2)
			}
			version = "2"
		}
		if errors.Is(n.Get(ctx, "k", nil), cache.ErrCacheMiss) {
			t.Error("it is gone")
		}
	})
}
