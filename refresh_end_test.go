package cache_test

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// What ends a task, and the refreshing of a whole cache.

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

// Close is called at every moment of a refresh. The remote is slow.
func TestCloseAtEveryMomentOfARefresh(t *testing.T) {
	for moment := time.Duration(0); moment < 2*interval+spread; moment += 370 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			m := remotetest.NewMemory()
			m.SetLatency(200 * time.Millisecond)
			load := &counter{took: 300 * time.Millisecond}
			n := fleetNode(t, m, load.do())
			time.Sleep(moment)
			n.Close()
			calls := load.calls()
			pass(3 * interval)
			if n.TaskSize() != 0 || load.calls() != calls {
				t.Errorf("closed after %s: %d tasks, %d loads afterwards", moment, n.TaskSize(), load.calls()-calls)
			}
		})
	}
}

// The goroutines of a cache that the program drops without Close end, even if a task never stops.
func TestADroppedCacheEndsItsRefreshing(t *testing.T) {
	var calls atomic.Int32
	func() {
		c := cache.New(cache.WithLocal(stores["TinyLFU"](t)), cache.WithStatsDisabled(true),
			cache.WithRefreshDuration(time.Second), cache.WithStopRefreshAfterLastAccess(cache.NeverStopRefresh))
		_ = c.Once(ctx, "k", cache.Refresh(true), cache.Do(func(context.Context) (any, error) {
			calls.Add(1)
			return c.CacheType(), nil // the loader refers to the cache, as a method of a service does
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
