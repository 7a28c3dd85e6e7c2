package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// A task that hangs, and many tasks at once, do not delay the other tasks.

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
			<-hung // also when its ctx ends
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

func TestTheKeyThatWaitedLongestGivesWayToANewTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		n := both(t, cache.WithRefreshDuration(interval), cache.WithMaxRefreshTasks(3))
		load := &counter{}
		for _, key := range []string{"a", "b", "c", "a", "d"} {
			pass(time.Millisecond)
			_, _ = onceString(n, key, load.do(), cache.Refresh(true))
		}
		if got := log.matching(`so "b", which was read least recently`); n.TaskSize() != 3 || len(got) != 1 {
			t.Errorf("%d tasks, logged %q", n.TaskSize(), log.lines)
		}
		if err := cache.RefreshNow(ctx, n.Cache, "b"); !errors.Is(err, cache.ErrNoRefreshTask) {
			t.Errorf("the task that gave way: %v", err)
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
