package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// counter is a loader that counts its calls and returns their number.
type counter struct {
	mu    sync.Mutex
	count int           // guarded by mu
	err   error         // guarded by mu
	took  time.Duration // guarded by mu
}

func (l *counter) do() cache.ItemOption {
	return cache.Do(func(ctx context.Context) (any, error) {
		l.mu.Lock()
		l.count++
		v, err, took := strconv.Itoa(l.count), l.err, l.took
		l.mu.Unlock()
		select {
		case <-time.After(took):
			return v, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

func (l *counter) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// become changes what later calls do.
func (l *counter) become(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took, l.err = took, err
}

// refreshed opens a node with both levels that refreshes "k", and goes on when nobody asks.
func refreshed(t *testing.T) (*node, *counter) {
	t.Helper()
	n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
	load := &counter{}
	if _, err := onceString(n, "k", load.do(), cache.Refresh(true)); err != nil {
		t.Fatal(err)
	}
	return n, load
}

const interval = 10 * time.Second

// spread is by how much a task may run later than its interval.
const spread = interval / 10

func TestRefreshLoadsEveryInterval(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...cache.Option) *node{"both": both, "remote": onlyRemote, "local": onlyLocal} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := open(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
				load := &counter{}
				if s, err := onceString(n, "k", load.do(), cache.Refresh(true)); s != "1" || err != nil {
					t.Fatalf("got %q, %v", s, err)
				}
				if n.TaskSize() != 1 {
					t.Errorf("%d tasks", n.TaskSize())
				}
				pass(interval - time.Millisecond)
				if load.calls() != 1 {
					t.Errorf("%d loads before the first interval was over", load.calls())
				}
				pass(spread)
				for i := 2; i < 6; i++ {
					var s string
					if err := n.Get(ctx, "k", &s); err != nil || s != strconv.Itoa(i) || load.calls() != i {
						t.Errorf("in interval %d: %q, %v, %d loads", i, s, err, load.calls())
					}
					pass(interval)
				}
			})
		})
	}
}

func TestRefreshEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour), cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		pass(interval + spread)
		load.become(0, cache.ErrNotFound)
		pass(interval)
		load.become(0, errBoom)
		pass(interval)
		if got := events.take(); got != "2:k 3:k 3:k" {
			t.Errorf("events %q", got)
		}
	})
}

func TestRefreshStopsWhenNobodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(interval))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		pass(interval + spread) // by default it stops after the interval plus a second
		if load.calls() != 2 || n.TaskSize() != 1 {
			t.Errorf("after one interval: %d loads, %d tasks", load.calls(), n.TaskSize())
		}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true)) // renews the interest
		pass(interval)
		if load.calls() != 3 {
			t.Errorf("after a touch: %d loads", load.calls())
		}
		pass(5 * interval)
		if load.calls() != 3 || n.TaskSize() != 0 {
			t.Errorf("long after: %d loads, %d tasks", load.calls(), n.TaskSize())
		}
	})
}

func TestOneNodeOfTheFleetLoadsPerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		load := &counter{took: 100 * time.Millisecond}
		var nodes []*node
		for range 4 {
			n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
			nodes = append(nodes, n)
			if _, err := onceString(n, "k", load.do(), cache.Refresh(true)); err != nil {
				t.Fatal(err)
			}
		}
		if load.calls() != 1 {
			t.Fatalf("%d loads at first", load.calls())
		}
		for i := range 10 {
			// The winner loads, the others look after a fifth of the interval.
			pass(interval)
			if i == 0 {
				pass(spread + interval/5)
			}
			if load.calls() != i+2 {
				t.Errorf("interval %d: %d loads", i+1, load.calls())
			}
			for j, n := range nodes {
				if got := n.inLocal("k"); got != strconv.Itoa(i+2) {
					t.Errorf("interval %d: node %d has %q in local", i+1, j, got)
				}
			}
		}
	})
}

func TestTheRefreshLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		load := &counter{}
		start := time.Now()
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		pass(interval + spread)
		stamp, ok := m.Peek("k_#RL#")
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		if !ok || err != nil || seconds < start.Unix() || seconds > time.Now().Unix() {
			t.Errorf("the lock holds %q, want the time in seconds", stamp)
		}
		ttl, _ := m.TTL("k_#RL#")
		if ttl > interval-10*time.Millisecond || ttl < interval-10*time.Millisecond-spread {
			t.Errorf("the lock has %s left", ttl)
		}
	})
}

func TestAFailedLoadReleasesTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		m := remotetest.NewMemory()
		n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		load.become(0, errBoom)
		pass(interval + spread)
		if _, ok := m.Peek("k_#RL#"); ok || load.calls() != 2 {
			t.Errorf("after a failed load (%d loads) the lock is there: %v", load.calls(), ok)
		}
		if got := log.matching("refreshing \"k\" failed: boom"); len(got) != 1 {
			t.Errorf("logged %q", log.lines)
		}
		if n.inLocal("k") != "1" {
			t.Errorf("the old value is gone: %q", n.inLocal("k"))
		}
		// Another's lock stays.
		m.Put("k_#RL#", "123")
		pass(interval)
		if got, _ := m.Peek("k_#RL#"); got != "123" || load.calls() != 2 {
			t.Errorf("the lock of another node is %q, %d loads", got, load.calls())
		}
	})
}

func TestAValueGoneFromTheRemoteGoesFromLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		m.Put("k_#RL#", "another node holds it")
		if _, err := m.Del(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		pass(interval + spread)
		if n.inLocal("k") != "-" || load.calls() != 1 {
			t.Errorf("local holds %q, %d loads", n.inLocal("k"), load.calls())
		}
	})
}

func TestDeleteEndsTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, load := refreshed(t)
		load.become(5*time.Second, nil)
		pass(interval) // the refresh is about to begin or under way
		pass(spread)
		if err := n.Delete(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		if n.TaskSize() != 0 {
			t.Errorf("%d tasks", n.TaskSize())
		}
		pass(5 * interval)
		n.expectStored(t, "k", "-", "-")
		if load.calls() > 2 {
			t.Errorf("%d loads", load.calls())
		}
	})
}

func TestTheNewestLoaderAndOptionsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		old, newest := &counter{}, &counter{}
		_, _ = onceString(n, "k", old.do(), cache.Refresh(true))
		_, _ = onceString(n, "k", newest.do(), cache.Refresh(true), cache.TTL(77*time.Second))
		pass(interval + spread)
		ttl, _ := n.remote.TTL("k")
		if old.calls() != 1 || newest.calls() != 1 || ttl > 77*time.Second || ttl < 70*time.Second {
			t.Errorf("%d and %d loads, the TTL is %s", old.calls(), newest.calls(), ttl)
		}
	})
}

func TestRefreshWithoutDoIsLoggedOnce(t *testing.T) {
	log := captureLog(t)
	n := both(t, cache.WithRefreshDuration(interval))
	_ = n.Set(ctx, "k", cache.Value("v"))
	for range 3 {
		if s, err := onceString(n, "k", cache.Refresh(true)); s != "v" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
	}
	if got := log.matching("Refresh(true) without Do"); len(got) != 1 || n.TaskSize() != 0 {
		t.Errorf("%d tasks, logged %q", n.TaskSize(), got)
	}
}

func TestAHungOrPanickingLoaderDoesNotStallOtherKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour), cache.WithRefreshConcurrency(2))
		hung := make(chan struct{})
		var hangs, panics atomic.Int32
		_, _ = onceString(n, "hung", cache.Do(func(context.Context) (any, error) {
			if hangs.Add(1) == 1 {
				return "v", nil
			}
			<-hung // whatever its ctx does
			return nil, errBoom
		}), cache.Refresh(true))
		_, _ = onceString(n, "panic", cache.Do(func(context.Context) (any, error) {
			if panics.Add(1) > 1 {
				panic("in the background")
			}
			return "v", nil
		}), cache.Refresh(true))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		pass(5*interval + spread)
		if load.calls() != 6 {
			t.Errorf("%d loads of the healthy key in 5 intervals", load.calls())
		}
		if len(log.matching("in the background")) == 0 {
			t.Error("the panic was not logged")
		}
		// The hung load has a deadline of 30s, after which its key is tried again.
		if got := log.matching("\"hung\" has not ended after 30s"); len(got) != 1 {
			t.Errorf("the hung load was logged as %q", got)
		}
		pass(50 * interval)
		if n := hangs.Load(); n != 4 { // the first read, and three that hang
			t.Errorf("a loader that hangs was called %d times", n)
		}
		n.Close()
		close(hung)
	})
}

func TestTasksThatWereRegisteredTogetherDoNotRunTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(interval), cache.WithRefreshConcurrency(1000))
		var mu sync.Mutex
		at := map[time.Duration]int{} // guarded by mu
		start := time.Now()
		for i := range 1000 {
			first := true // guarded by mu
			_, _ = onceString(n, fmt.Sprint(i), cache.Do(func(context.Context) (any, error) {
				mu.Lock()
				defer mu.Unlock()
				if !first {
					at[time.Since(start).Truncate(spread/10)]++
				}
				first = false
				return "v", nil
			}), cache.Refresh(true))
		}
		pass(interval + spread)
		mu.Lock()
		defer mu.Unlock()
		for when, runs := range at {
			if runs > 200 {
				t.Errorf("%d of 1000 tasks ran at %s", runs, when)
			}
		}
		if len(at) < 8 {
			t.Errorf("they ran at %v", at)
		}
	})
}

func TestARefreshObeysTheFillRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, load := refreshed(t)
		load.become(5*time.Second, nil)
		pass(interval + spread)
		if load.calls() != 2 {
			t.Fatalf("%d loads", load.calls())
		}
		_ = n.Set(ctx, "k", cache.Value("set meanwhile"))
		pass(5 * time.Second)
		n.expectStored(t, "k", "set meanwhile", "set meanwhile")
	})
}

func TestARefreshSharesItsLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, load := refreshed(t)
		load.become(5*time.Second, nil)
		pass(interval + spread)
		n.local.Del("k")
		_, _ = n.remote.Del(ctx, "k")
		if s, err := onceString(n, "k", load.do()); s != "2" || err != nil || load.calls() != 2 {
			t.Errorf("a reader during the refresh got %q, %v; %d loads", s, err, load.calls())
		}
	})
}

func TestCloseCancelsARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(interval))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		load.become(time.Hour, nil)
		pass(interval + spread)
		start := time.Now()
		n.Close()
		if took := time.Since(start); took != 0 || load.calls() != 2 {
			t.Errorf("Close took %s, %d loads", took, load.calls())
		}
	})
}

func TestARefreshWithTheRemoteDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := refreshed(t)
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		pass(3 * interval)
		if s := n.inLocal("k"); s != "1" || n.counts.remoteErrors() == 0 {
			t.Errorf("local holds %q, %d remote errors", s, n.counts.remoteErrors())
		}
		n.remote.SetFault(nil)
		pass(interval + spread)
		if s, err := onceString(n, "k"); s == "1" || err != nil || errors.Is(err, errBoom) {
			t.Errorf("when it is back: %q, %v", s, err)
		}
	})
}

func TestTooManyTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		n := both(t, cache.WithRefreshDuration(interval), cache.WithMaxRefreshTasks(3))
		load := &counter{}
		for _, key := range []string{"a", "b", "c", "a", "d"} {
			pass(time.Millisecond)
			_, _ = onceString(n, key, load.do(), cache.Refresh(true))
		}
		if got := log.matching(`so "b", which was not asked for the longest`); n.TaskSize() != 3 || len(got) != 1 {
			t.Errorf("%d tasks, logged %q", n.TaskSize(), log.lines)
		}
		if err := cache.RefreshNow(ctx, n.Cache, "b"); !errors.Is(err, cache.ErrNoRefreshTask) {
			t.Errorf("the task that gave way: %v", err)
		}
	})
}

func TestNeverStopRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(cache.NeverStopRefresh))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		pass(100*interval + spread)
		if load.calls() != 101 || n.TaskSize() != 1 {
			t.Errorf("%d loads, %d tasks", load.calls(), n.TaskSize())
		}
	})
}

func TestRefreshTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		s := stats.NewStatsLogger("x", stats.WithStatsInterval(1000*time.Hour)).(*stats.Stats)
		defer s.Close()
		n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour), cache.WithRefreshTimeout(2*time.Second), cache.WithStatsHandler(s))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		load.become(time.Hour, nil)
		pass(interval + spread + 2*time.Second)
		if got := log.matching(`refreshing "k" has not ended after 2s`); len(got) != 1 || s.RefreshTimeouts != 1 {
			t.Errorf("%d timeouts, logged %q", s.RefreshTimeouts, log.lines)
		}
	})
}

func TestLoadsThatHangDoNotHoldUpTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour), cache.WithRefreshConcurrency(2), cache.WithRefreshTimeout(time.Hour))
		hang := &counter{}
		for i := range 6 {
			_, _ = onceString(n, fmt.Sprint("hangs", i), hang.do(), cache.Refresh(true))
		}
		hang.become(24*time.Hour, nil)
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		pass(10 * interval)
		if load.calls() < 7 {
			t.Errorf("a healthy key was loaded %d times in 10 intervals", load.calls())
		}
	})
}

// A cache that is dropped without Close leaves no goroutine for ever, even with a task
// that never stops.
func TestADroppedCacheEndsItsRefreshing(t *testing.T) {
	var calls atomic.Int32
	func() {
		c := cache.New(cache.WithLocal(stores["TinyLFU"](t)), cache.WithStatsDisabled(true),
			cache.WithRefreshDuration(time.Second), cache.WithStopRefreshAfterLastAccess(cache.NeverStopRefresh))
		_ = c.Once(ctx, "k", cache.Refresh(true), cache.Do(func(context.Context) (any, error) {
			calls.Add(1)
			return c.CacheType(), nil // as loaders do that are methods of what has the cache
		}))
	}()
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		runtime.GC()
		if !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "internal/schedule.") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the scheduler still runs, after %d loads", calls.Load())
		}
	}
}
