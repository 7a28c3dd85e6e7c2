package cache_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/stats"
)

func TestEventsOfEachCall(t *testing.T) {
	mget := func(n *node, load func(context.Context, []int) (map[int]string, error)) {
		_, _ = cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1, 2}, load)
	}
	tests := []struct {
		name string
		do   func(n *node)
		want string
	}{
		{"Set", func(n *node) { _ = n.Set(ctx, "k", cache.Value("v")) }, "1:k"},
		{"Set with Do", func(n *node) { _ = n.Set(ctx, "k", returns("v", nil)) }, "1:k"},
		{"Set with Do, not found", func(n *node) { _ = n.Set(ctx, "k", returns(nil, cache.ErrNotFound)) }, "1:k"},
		{"Set with Do, error", func(n *node) { _ = n.Set(ctx, "k", returns(nil, errBoom)) }, ""},
		{"Once that loads", func(n *node) { _, _ = onceString(n, "k", returns("v", nil)) }, "2:k"},
		{"Once that loads, not found", func(n *node) { _, _ = onceString(n, "k", returns(nil, cache.ErrNotFound)) }, "2:k"},
		{"Once that fails", func(n *node) { _, _ = onceString(n, "k", returns(nil, errBoom)) }, ""},
		{"Once that hits", func(n *node) { n.remote.Put("k", "v"); _ = n.Once(ctx, "k"); _ = n.Once(ctx, "k") }, ""},
		{"Get", func(n *node) { n.remote.Put("k", "v"); _ = n.Get(ctx, "k", nil); n.Exists(ctx, "k") }, ""},
		{"MGet that loads", func(n *node) {
			mget(n, func(context.Context, []int) (map[int]string, error) { return map[int]string{1: "v"}, nil })
		}, "4:k:1,k:2"},
		{"MGet that loads some", func(n *node) {
			n.remote.Put("k:1", "v")
			mget(n, func(context.Context, []int) (map[int]string, error) { return nil, nil })
		}, "4:k:2"},
		{"MGet that fails", func(n *node) {
			mget(n, func(context.Context, []int) (map[int]string, error) { return nil, errBoom })
		}, ""},
		{"Delete", func(n *node) { _ = n.Delete(ctx, "k") }, "5:k"},
		{"DeleteFromLocalCache", func(n *node) { n.DeleteFromLocalCache("k") }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := &recEvents{}
				n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
				tt.do(n)
				if got := events.take(); got != tt.want {
					t.Errorf("events %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestEventsNeedSyncLocalAndBothLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		handler := cache.WithEventHandler(events.handle)
		for _, n := range []*node{
			both(t, handler),
			both(t, handler, cache.WithSyncLocal(false)),
			onlyLocal(t, handler, cache.WithSyncLocal(true)),
			onlyRemote(t, handler, cache.WithSyncLocal(true)),
			both(t, cache.WithSyncLocal(true)),
		} {
			_ = n.Set(ctx, "k", cache.Value("v"))
			_ = n.Delete(ctx, "k")
		}
		if got := events.take(); got != "" {
			t.Errorf("events %q", got)
		}
	})
}

func TestEventContents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithName("shop"), cache.WithSourceId("node-1"), cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		_ = n.Set(ctx, "k", cache.Value("v"))
		synctest.Wait()
		e := events.events[0]
		if e.CacheName != "shop" || e.SourceID != "node-1" || e.EventType != cache.EventTypeSet || fmt.Sprint(e.Keys) != "[k]" {
			t.Errorf("got %+v", e)
		}
	})
}

func TestAHandlerThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		calls := 0
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(func(*cache.Event) {
			calls++
			panic("the handler's fault")
		}))
		_ = n.Set(ctx, "k", cache.Value("v"))
		_ = n.Set(ctx, "k", cache.Value("v"))
		synctest.Wait()
		if got := log.matching("the handler's fault"); calls != 2 || len(got) != 1 {
			t.Errorf("%d calls, logged %q", calls, got)
		}
	})
}

func TestAHandlerThatExitsDoesNotEndTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(func(*cache.Event) {
			if calls.Add(1) == 1 {
				runtime.Goexit()
			}
		}))
		for i := range 3 {
			_ = n.Set(ctx, fmt.Sprint(i), cache.Value("v"))
		}
		synctest.Wait()
		if calls.Load() != 3 {
			t.Errorf("the handler was called %d times, want 3", calls.Load())
		}
	})
}

func TestASlowHandlerLosesNothingAndBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		seen, inside, calls := map[string]bool{}, 0, 0
		n := both(t, cache.WithSyncLocal(true), cache.WithEventChBufSize(3), cache.WithEventHandler(func(e *cache.Event) {
			mu.Lock()
			inside++
			calls++
			if inside > 1 {
				t.Error("the handler was called twice at a time")
			}
			for _, k := range e.Keys {
				seen[fmt.Sprint(e.EventType, k)] = true
			}
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			inside--
			mu.Unlock()
		}))
		start := time.Now()
		for round := range 3 {
			for i := range 100 {
				key := fmt.Sprint("k", i)
				if round == 2 {
					_ = n.Delete(ctx, key)
				} else {
					_ = n.Set(ctx, key, cache.Value("v"))
				}
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the writers were held up for %s", took)
		}
		pass(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(seen) != 200 || calls > 8 {
			t.Errorf("%d of 200 changes were told of, in %d calls", len(seen), calls)
		}
	})
}

func TestCloseDeliversTheEventsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivered := 0
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(func(*cache.Event) {
			time.Sleep(time.Second)
			delivered++
		}))
		for i := range 3 {
			_ = n.Set(ctx, fmt.Sprint(i), cache.Value("v"))
		}
		n.Close()
		if delivered != 3 {
			t.Errorf("%d of 3 events were delivered", delivered)
		}
	})
}

func TestCloseWaitsForAHangingHandlerWithABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		release := make(chan struct{})
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(func(*cache.Event) { <-release }))
		for i := range 3 {
			_ = n.Set(ctx, fmt.Sprint(i), cache.Value("v"))
		}
		start := time.Now()
		n.Close()
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Close took %s", took)
		}
		if got := log.matching("busy with an event, and 2 more with 2 keys wait"); len(got) != 1 {
			t.Errorf("logged %q", log.lines)
		}
		close(release)
	})
}

// A handler hangs while more keys change than the queue can hold. The cache counts and logs the lost keys.
func TestLostKeysAreCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		s := stats.NewStatsLogger("x", stats.WithStatsInterval(1000*time.Hour)).(*stats.Stats)
		defer s.Close()
		release := make(chan struct{})
		n := both(t, cache.WithSyncLocal(true), cache.WithEventChBufSize(1), cache.WithStatsHandler(s), cache.WithEventHandler(func(*cache.Event) { <-release }))
		for i := range 1<<17 + 12 {
			_ = n.Delete(ctx, strconv.Itoa(i))
			if i == 0 {
				synctest.Wait()
			}
		}
		// One key is with the handler, 131,072 wait.
		if got := log.matching("other nodes are not told"); s.EventKeysLost != 11 || len(got) != 1 {
			t.Errorf("%d lost, logged %q", s.EventKeysLost, got)
		}
		close(release)
	})
}
