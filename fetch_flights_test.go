package cache_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// Calls with different options share a load, whichever of them leads it.
func TestCallsWithOtherOptionsShareALoad(t *testing.T) {
	skip, ttl := cache.SkipLocal(true), cache.TTL(time.Minute)
	type typed = *cache.T[int, string]
	type loader = func(context.Context, []int) (map[int]string, error)
	single := func(fn loader) func(context.Context, int) (string, error) {
		return func(ctx context.Context, id int) (string, error) {
			m, err := fn(ctx, []int{id})
			return m[id], err
		}
	}
	calls := map[string]func(ids typed, fn loader) (string, error){
		"Get": func(ids typed, fn loader) (string, error) { return ids.Get(ctx, "k", 1, single(fn)) },
		"Fetch with SkipLocal": func(ids typed, fn loader) (string, error) {
			return ids.Fetch(ctx, "k", 1, single(fn), skip)
		},
		"MGet": func(ids typed, fn loader) (string, error) {
			got, err := ids.MGetWithErr(ctx, "k", []int{1, 2}, fn)
			return got[1], err
		},
		"MFetch with TTL": func(ids typed, fn loader) (string, error) {
			got, err := ids.MFetch(ctx, "k", []int{3, 1}, fn, ttl)
			return got[1], err
		},
		"MFetch with SkipLocal": func(ids typed, fn loader) (string, error) {
			got, err := ids.MFetch(ctx, "k", []int{1, 4}, fn, skip, ttl)
			return got[1], err
		},
	}
	for leader, lead := range calls {
		for _, open := range []func(testing.TB, ...cache.Option) *node{both, onlyRemote, onlyLocal} {
			synctest.Test(t, func(t *testing.T) {
				ids := cache.NewT[int, string](open(t).Cache)
				var mu sync.Mutex
				asked := map[int]int{}
				load := func(_ context.Context, ids []int) (map[int]string, error) {
					time.Sleep(time.Second)
					mu.Lock()
					defer mu.Unlock()
					found := map[int]string{}
					for _, id := range ids {
						asked[id]++
						found[id] = fmt.Sprint("v", id)
					}
					return found, nil
				}
				var wg sync.WaitGroup
				run := func(name string, call func(typed, loader) (string, error)) {
					wg.Go(func() {
						if v, err := call(ids, load); v != "v1" || err != nil {
							t.Errorf("%s, while %s loads: %q, %v", name, leader, v, err)
						}
					})
					synctest.Wait()
				}
				run(leader, lead)
				for name, call := range calls {
					run(name, call)
				}
				wg.Wait()
				for id, n := range asked {
					if n != 1 {
						t.Errorf("while %s loads: %d was asked for %d times", leader, id, n)
					}
				}
			})
		}
	}
}

// lateLocal is a Local whose second read of each key takes a second. That read returns what the store
// has at its end.
type lateLocal struct {
	*mapLocal
	mu   sync.Mutex
	gets map[string]int // guarded by mu
}

func (l *lateLocal) Get(key string) ([]byte, bool) {
	l.mu.Lock()
	l.gets[key]++
	late := l.gets[key] == 2
	l.mu.Unlock()
	if late {
		time.Sleep(time.Second)
	}
	return l.mapLocal.Get(key)
}

// The leader of a load reads the local level once more and may find a new entry there. A caller that
// joined with SkipLocal must not get that entry. It reads the remote itself.
func TestSkipLocalDoesNotGetWhatAnothersFlightFoundInLocal(t *testing.T) {
	type typed = *cache.T[int, string]
	for name, tt := range map[string]struct {
		lead, join func(ids typed) (string, error)
	}{
		"Fetch and Get": {
			func(ids typed) (string, error) { return ids.Get(ctx, "k", 1, loads("loaded", nil)) },
			func(ids typed) (string, error) {
				return ids.Fetch(ctx, "k", 1, loads("loaded", nil), cache.SkipLocal(true))
			},
		},
		"MFetch and MGet": {
			func(ids typed) (string, error) {
				got, err := ids.MGetWithErr(ctx, "k", []int{1}, loadsAll("loaded"))
				return got[1], err
			},
			func(ids typed) (string, error) {
				got, err := ids.MFetch(ctx, "k", []int{1}, loadsAll("loaded"), cache.SkipLocal(true))
				return got[1], err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &lateLocal{mapLocal: &mapLocal{m: map[string][]byte{}}, gets: map[string]int{}}
				n := &node{local: store, remote: remotetest.NewMemory(), counts: &recStats{}}
				n.open(t, []cache.Option{cache.WithLocal(store), cache.WithRemote(n.remote)})
				n.remote.Put("k:1", "remote")
				ids := cache.NewT[int, string](n.Cache)
				var wg sync.WaitGroup
				wg.Go(func() {
					if v, err := tt.lead(ids); v != "local" || err != nil {
						t.Errorf("the leader got %q, %v", v, err)
					}
				})
				synctest.Wait()
				store.Set("k:1", []byte("local"))
				if v, err := tt.join(ids); v != "remote" || err != nil {
					t.Errorf("with SkipLocal: %q, %v", v, err)
				}
				wg.Wait()
			})
		})
	}
}

// All callers may use the value of a load that skips the local level. Its write-back removes the old
// local entry.
func TestALoadThatSkipsLocalLeavesNothingOlderThere(t *testing.T) {
	n := both(t)
	ids := cache.NewT[int, string](n.Cache)
	for _, key := range []string{"k:1", "k:2", "k:99"} {
		n.local.Set(key, []byte("old"))
	}
	if v, err := ids.Fetch(ctx, "k", 1, loads("new", nil), cache.SkipLocal(true)); v != "new" || err != nil {
		t.Errorf("Fetch: %q, %v", v, err)
	}
	got, err := ids.MFetch(ctx, "k", []int{2, 99}, loadsAll("new"), cache.SkipLocal(true))
	if err != nil || !maps.Equal(got, map[int]string{2: "new"}) {
		t.Errorf("MFetch: %v, %v", got, err)
	}
	n.expectStored(t, "k:1", "-", "new")
	n.expectStored(t, "k:2", "-", "new")
	n.expectStored(t, "k:99", "-", "*")
}

// The loader gets a copy of the ids: the caller may change its own slice after the call.
func TestMFetchLeavesTheIdsAlone(t *testing.T) {
	for store := range stores {
		n := overStore(t, store)
		ids := []int{3, 1, 3, 2, 1}
		_ = n.Set(ctx, "k:1", cache.Value("v"))
		for _, opts := range [][]cache.ItemOption{nil, {cache.SkipLocal(true)}} {
			_, _ = cache.NewT[int, string](n.Cache).MFetch(ctx, "k", ids, func(_ context.Context, ask []int) (map[int]string, error) {
				clear(ask)
				return nil, nil
			}, opts...)
		}
		if !slices.Equal(ids, []int{3, 1, 3, 2, 1}) {
			t.Errorf("%s: the ids are %v now", store, ids)
		}
	}
}
