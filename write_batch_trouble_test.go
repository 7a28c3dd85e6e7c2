package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// batchChanges are MSet and MDelete of the ids 1 to 3.
var batchChanges = map[string]func(ctx context.Context, n *node) error{
	"MSet": func(ctx context.Context, n *node) error {
		return cache.NewT[int, string](n.Cache).MSet(ctx, "k", map[int]string{1: "new", 2: "new", 3: "new"})
	},
	"MDelete": func(ctx context.Context, n *node) error {
		return cache.NewT[int, string](n.Cache).MDelete(ctx, "k", []int{3, 2, 1})
	},
}

// store puts "old" under the ids 1 to 4, in all levels.
func store(t testing.TB, n *node) {
	t.Helper()
	for id := range 4 {
		if err := n.Set(ctx, fmt.Sprint("k:", id+1), cache.Value("old")); err != nil {
			t.Fatal(err)
		}
	}
}

// expectLocal checks the ids 1 to 4 in the local level.
func (n *node) expectLocal(t testing.TB, want string) {
	t.Helper()
	got := fmt.Sprint(n.inLocal("k:1"), " ", n.inLocal("k:2"), " ", n.inLocal("k:3"), " ", n.inLocal("k:4"))
	if got != want {
		t.Errorf("local holds %q, want %q", got, want)
	}
}

func TestABatchWriteWhoseRemoteFails(t *testing.T) {
	for name, change := range batchChanges {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := &recEvents{}
				n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
				store(t, n)
				events.take()
				n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
				if err := change(ctx, n); !errors.Is(err, errBoom) {
					t.Errorf("got %v", err)
				}
				n.expectLocal(t, "- - - old")
				if got := events.take(); got != "" {
					t.Errorf("told of %q", got)
				}
				if n.counts.remoteErrors() != 1 {
					t.Errorf("%d failures of the remote were counted", n.counts.remoteErrors())
				}
				n.remote.SetFault(nil)
				if err := change(ctx, n); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

func TestABatchWriteWhoseRemotePanics(t *testing.T) {
	for name, change := range batchChanges {
		t.Run(name, func(t *testing.T) {
			n := both(t)
			store(t, n)
			n.remote.SetFault(func(context.Context, string, ...string) error { panic("the remote is broken") })
			if text := panicText(func() { _ = change(ctx, n) }); text != "the remote is broken" {
				t.Errorf("panicked with %q", text)
			}
			n.expectLocal(t, "- - - old")
			n.remote.SetFault(nil)
			short, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			if err := change(short, n); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			if err := n.Set(short, "k:2", cache.Value("newest")); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// explodingLocal is a Local that panics at changes of one key.
type explodingLocal struct {
	*mapLocal
	key string
}

func (l *explodingLocal) Set(key string, data []byte) { l.explode(key); l.mapLocal.Set(key, data) }
func (l *explodingLocal) Del(key string)              { l.explode(key); l.mapLocal.Del(key) }

func (l *explodingLocal) explode(key string) {
	if key == l.key {
		panic("the local store is broken")
	}
}

func TestABatchWriteWhoseLocalStorePanics(t *testing.T) {
	for name, change := range batchChanges {
		t.Run(name, func(t *testing.T) {
			s := &explodingLocal{mapLocal: &mapLocal{m: map[string][]byte{}}}
			n := (&node{local: s, counts: &recStats{}}).open(t, []cache.Option{cache.WithLocal(s)})
			store(t, n)
			s.key = "k:2"
			if text := panicText(func() { _ = change(ctx, n) }); text != "the local store is broken" {
				t.Errorf("panicked with %q", text)
			}
			s.key = ""
			short, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			if err := change(short, n); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// An invalidation says that another node has written. This node cannot tell which write was the last.
func TestABatchWriteThatAnInvalidationOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		store(t, n)
		n.remote.SetLatency(2 * time.Second)
		go func() { _ = batchChanges["MSet"](ctx, n) }()
		pass(time.Second)
		n.DeleteFromLocalCache("k:2")
		pass(2 * time.Second)
		n.expectLocal(t, "new - new old")
	})
}

// Batches with common ids, in any order, do not deadlock.
func TestBatchWritesThatOverlapDoNotDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		n.remote.SetLatency(time.Millisecond)
		ids := cache.NewT[int, int](n.Cache)
		ctx, cancel := context.WithTimeout(ctx, time.Hour) // a deadlocked call fails by then
		defer cancel()
		var wg sync.WaitGroup
		for g := range 32 {
			wg.Go(func() {
				for round := range 10 {
					some := rand.Perm(20)[:1+rand.IntN(19)]
					switch (g + round) % 4 {
					case 0:
						if err := ids.MDelete(ctx, "k", some); err != nil {
							t.Error(err)
						}
					case 1:
						_ = ids.Set(ctx, "k", some[0], g)
						_, _ = ids.MGetWithErr(ctx, "k", some, func(_ context.Context, ids []int) (map[int]int, error) {
							time.Sleep(time.Millisecond)
							return map[int]int{ids[0]: g}, nil
						})
					default:
						values := map[int]int{}
						for _, id := range some {
							values[id] = id*1000 + g
						}
						if err := ids.MSet(ctx, "k", values); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		for id := range 20 {
			key := fmt.Sprint("k:", id)
			if l, r := n.inLocal(key), n.inRemote(key); l != "-" && l != r {
				t.Errorf("%q is %q in local and %q in the remote", key, l, r)
			}
		}
	})
}

// oneByOne is a Remote without the optional abilities.
type oneByOne struct{ remote.Remote }

func TestABatchWriteOfARemoteThatKnowsNoBatches(t *testing.T) {
	n := both(t)
	n.Close()
	n.Cache = cache.New(cache.WithLocal(n.local), cache.WithRemote(oneByOne{n.remote}), cache.WithStatsDisabled(true))
	calls := recKeys(n)
	if err := batchChanges["MSet"](ctx, n); err != nil {
		t.Fatal(err)
	}
	if got := calls("mset"); got != "k:1,k:2,k:3" {
		t.Errorf("stored %q", got)
	}
	if err := batchChanges["MDelete"](ctx, n); err != nil {
		t.Fatal(err)
	}
	if got := calls("del"); got != "k:1 k:2 k:3" {
		t.Errorf("removed %q", got)
	}
	if left := n.remote.Keys(); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// cutting is a Remote that ends the caller's ctx during each removal.
type cutting struct {
	remote.Remote
	cancel func()
}

func (c cutting) Del(ctx context.Context, key string) (int64, error) {
	removed, err := c.Remote.Del(ctx, key)
	c.cancel()
	return removed, err
}

// A slow Set writes the key in the middle. The batch waits for it and returns when its ctx ends.
func TestABatchWriteLeavesWhenItsContextEnds(t *testing.T) {
	for name, change := range batchChanges {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := &recEvents{}
				n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
				store(t, n)
				events.take()
				n.remote.SetFault(func(_ context.Context, op string, keys ...string) error {
					if op == "set" && keys[0] == "k:2" {
						time.Sleep(10 * time.Second)
					}
					return nil
				})
				go func() { _ = n.Set(ctx, "k:2", cache.Value("slow")) }()
				synctest.Wait()

				began := time.Now()
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				if err := change(short, n); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"k:2"`) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took != time.Second {
					t.Errorf("it took %s", took)
				}
				n.expectLocal(t, "- - - old") // the old entries may be older than the values of the batch
				if n.remote.Calls("mset")+n.remote.Calls("del") != 0 {
					t.Error("the remote was called")
				}
				pass(10 * time.Second)
				if got := events.take(); got != "1:k:2" {
					t.Errorf("told of %q", got)
				}
				if err := change(ctx, n); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

// Keys that were not removed because ctx ended are an error, also if no call has failed.
func TestMDeleteReportsKeysLeftWhenItsContextEnds(t *testing.T) {
	n := both(t)
	n.Close()
	short, cancel := context.WithCancel(ctx)
	n.Cache = cache.New(cache.WithLocal(n.local), cache.WithRemote(oneByOne{cutting{n.remote, cancel}}), cache.WithStatsDisabled(true))
	store(t, n)
	if err := batchChanges["MDelete"](short, n); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, and %q are left", err, slices.Sorted(slices.Values(n.remote.Keys())))
	}
	n.expectLocal(t, "- - - old")
}
