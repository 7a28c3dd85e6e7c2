package cache_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

const (
	heartbeat = 500 * time.Millisecond // the default
	// blind is how long a broken link may go unnoticed.
	blind = 4 * heartbeat
)

// fleetOf makes n nodes on one remote and one bus, in a bubble, and waits until they know each other.
func fleetOf(t testing.TB, n int, opts ...cache.Option) ([]*node, *remotetest.Bus) {
	bus, memory := remotetest.NewBus(), remotetest.NewMemory()
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = bothOn(t, memory, append([]cache.Option{
			cache.WithSyncLocal(true), cache.WithSyncBus(bus), cache.WithSourceId(fmt.Sprint("node ", i)),
		}, opts...)...)
	}
	pass(4 * heartbeat)
	return nodes, bus
}

func TestOthersDropWhatANodeChanges(t *testing.T) {
	changes := map[string]func(n *node) error{
		"Set":    func(n *node) error { return n.Set(ctx, "k", cache.Value("new")) },
		"Set Do": func(n *node) error { return n.Set(ctx, "k", returns("new", nil)) },
		"not found": func(n *node) error {
			return n.Set(ctx, "k", returns(nil, cache.ErrNotFound))
		},
		"Delete": func(n *node) error { return n.Delete(ctx, "k") },
		"MSet": func(n *node) error {
			return cache.NewT[string, string](n.Cache).MSet(ctx, "", map[string]string{"k": "new"})
		},
		"MDelete": func(n *node) error {
			return cache.NewT[string, string](n.Cache).MDelete(ctx, "", []string{"k"})
		},
		"Mutate": func(n *node) error {
			return cache.Mutate(ctx, n.Cache, []string{"k"}, func(context.Context) error { return nil })
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes, _ := fleetOf(t, 3, cache.WithSeparatorDisabled(true))
				for _, n := range nodes {
					if s, err := onceString(n, "k", returns("old", nil)); s != "old" || err != nil {
						t.Fatal(s, err)
					}
				}
				if err := change(nodes[0]); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				for i, n := range nodes[1:] {
					if got := n.inLocal("k"); got != "-" {
						t.Errorf("node %d has %q", i+1, got)
					}
				}
			})
		})
	}
}

func TestLoadsAreNotToldUnlessAskedFor(t *testing.T) {
	for _, loads := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			nodes, bus := fleetOf(t, 2, cache.WithSyncLoads(loads))
			if _, err := onceString(nodes[0], "k", returns("v", nil)); err != nil {
				t.Fatal(err)
			}
			tt := cache.NewT[int, string](nodes[0].Cache)
			tt.MGet(ctx, "m", []int{1, 2}, func(_ context.Context, ids []int) (map[int]string, error) {
				return map[int]string{1: "x"}, nil
			})
			synctest.Wait()
			want := 0
			if loads {
				want = 2
			}
			if n := bus.Published("jetcache:sync:default"); n != want {
				t.Errorf("WithSyncLoads(%v): %d messages, want %d", loads, n, want)
			}
		})
	}
}

func TestARefreshTellsOnlyOfAnotherValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := fleetOf(t, 2, cache.WithRefreshDuration(time.Second), cache.WithStopRefreshAfterLastAccess(time.Hour))
		var mu sync.Mutex
		version := 1
		load := cache.Do(func(context.Context) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprint("v", version), nil
		})
		if _, err := onceString(nodes[0], "k", load, cache.Refresh(true)); err != nil {
			t.Fatal(err)
		}
		if s, err := onceString(nodes[1], "k", never(t)); s != "v1" || err != nil {
			t.Fatal(s, err)
		}
		pass(5 * time.Second)
		if n := bus.Published("jetcache:sync:default"); n != 0 {
			t.Errorf("%d messages about refreshes that found the same", n)
		}
		if got := nodes[1].inLocal("k"); got != "v1" {
			t.Errorf("the other node has %q", got)
		}
		mu.Lock()
		version = 2
		mu.Unlock()
		pass(2 * time.Second)
		if n := bus.Published("jetcache:sync:default"); n != 1 {
			t.Errorf("%d messages about one refresh that found another value", n)
		}
		if s, err := onceString(nodes[1], "k", never(t)); s != "v2" || err != nil {
			t.Errorf("the other node reads %q, %v", s, err)
		}
	})
}

func TestTheHandlerStillSeesAllEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec recEvents
		bus := remotetest.NewBus()
		n := both(t, cache.WithSyncLocal(true), cache.WithSyncBus(bus), cache.WithEventHandler(rec.handle))
		_, _ = onceString(n, "a", returns("v", nil))
		_ = n.Set(ctx, "b", cache.Value("v"))
		_ = n.Delete(ctx, "a")
		if got, want := rec.take(), "2:a 1:b 5:a"; got != want {
			t.Errorf("events %q, want %q", got, want)
		}
		if got := bus.Published("jetcache:sync:default"); got != 2 {
			t.Errorf("%d messages, want those of the Set and the Delete", got)
		}
	})
}

func TestACacheWithoutALocalLevelTellsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, memory := remotetest.NewBus(), remotetest.NewMemory()
		opts := []cache.Option{cache.WithSyncLocal(true), cache.WithSyncBus(bus)}
		service := bothOn(t, memory, opts...)
		job := &node{remote: memory, counts: &recStats{}}
		job.open(t, append(opts, cache.WithRemote(memory)))
		_ = service.Set(ctx, "k", cache.Value("old"))
		if err := job.Set(ctx, "k", cache.Value("new")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := service.inLocal("k"); got != "-" {
			t.Errorf("the service has %q", got)
		}
	})
}

func TestAHandlerAloneReplacesTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec recEvents
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(rec.handle))
		_ = n.Set(ctx, "b", cache.Value("v"))
		if got := rec.take(); got != "1:b" {
			t.Errorf("events %q", got)
		}
		if s := cache.SyncStateOf(n); s.Linked {
			t.Errorf("the state is %+v", s)
		}
	})
}

func TestMessagesAreTheJSONOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := fleetOf(t, 1, cache.WithName("users"), cache.WithSyncChannel("my channel"))
		heard := make(chan string, 10)
		listening, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			_ = bus.Subscribe(listening, []string{"my channel"}, func() {}, func(_ string, m []byte) { heard <- string(m) })
		}()
		synctest.Wait()
		_ = nodes[0].Delete(ctx, "k")
		var e cache.Event
		if err := json.Unmarshal([]byte(<-heard), &e); err != nil {
			t.Fatal(err)
		}
		if e.CacheName != "users" || e.SourceID != "node 0" || e.EventType != cache.EventTypeDelete || len(e.Keys) != 1 || e.Keys[0] != "k" {
			t.Errorf("the message is %+v", e)
		}
		// And by hand, as services of the original do.
		_ = nodes[0].Set(ctx, "k", cache.Value("v"))
		data, _ := json.Marshal(cache.Event{CacheName: "users", SourceID: "by hand", EventType: cache.EventTypeSet, Keys: []string{"k"}})
		_ = bus.Publish(ctx, "my channel", data)
		synctest.Wait()
		if got := nodes[0].inLocal("k"); got != "-" {
			t.Errorf("after a message by hand, local has %q", got)
		}
		if s := cache.SyncStateOf(nodes[0]); s.Channel != "my channel" || !s.Ready || s.Gaps != 0 || s.InDoubt {
			t.Errorf("the state is %+v", s)
		}
	})
}

func TestAClosedCacheServesNothingOldAndTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, _ := fleetOf(t, 2)
		_ = nodes[0].Set(ctx, "k", cache.Value("old"))
		nodes[0].Close()
		_ = nodes[1].Set(ctx, "k", cache.Value("new"))
		if s, err := onceString(nodes[0], "k", never(t)); s != "new" || err != nil {
			t.Errorf("it reads %q, %v", s, err)
		}
		if err := nodes[0].Set(ctx, "k", cache.Value("x")); !errors.Is(err, cache.ErrNotTold) {
			t.Errorf("Set after Close: %v", err)
		}
		pass(20 * heartbeat)
		if s := cache.SyncStateOf(nodes[1]); s.Gaps != 0 || s.Nodes != 0 {
			t.Errorf("the state of the other is %+v", s)
		}
	})
}

func TestADroppedCacheLeavesNoLink(t *testing.T) {
	bus := remotetest.NewBus()
	cache.New(cache.WithLocal(stores["Otter"](t)), cache.WithRemote(remotetest.NewMemory()), cache.WithSyncLocal(true), cache.WithSyncBus(bus), cache.WithStatsDisabled(true))
	if n := bus.Subscribers("jetcache:sync:default"); n != 1 {
		t.Fatalf("%d subscriptions", n)
	}
	for end := time.Now().Add(20 * time.Second); bus.Subscribers("jetcache:sync:default") > 0; {
		if time.Now().After(end) {
			t.Fatal("the link of a cache that nobody has any more is still there")
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}
