package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// The points in which this library differs from the original, by their numbers in the
// README's table. This file: loads, 1 to 6.

func TestPoint1CallersLeaveOnTheirOwnContext(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		loads := 0
		load := cache.Do(func(ctx context.Context) (any, error) {
			loads++
			if ctx.Value(key{}) != "first" {
				t.Error("the load does not have the first caller's values")
			}
			if _, ok := ctx.Deadline(); ok {
				t.Error("the load has a caller's deadline")
			}
			select {
			case <-time.After(time.Minute):
				return "v", nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 3 {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, key{}, [...]string{"first", "second", "third"}[i]), time.Duration(i+1)*time.Second)
			defer cancel()
			wg.Go(func() {
				if _, err := onceStringCtx(ctx, n, "k", load); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Duration(i+1)*time.Second {
					t.Errorf("caller %d left after %s with %v", i, time.Since(start), err)
				}
			})
			synctest.Wait()
		}
		patient := make(chan string, 1)
		go func() { s, _ := onceString(n, "k", load); patient <- s }()
		wg.Wait()
		if got := <-patient; got != "v" || loads != 1 {
			t.Errorf("the patient caller got %q after %d loads", got, loads)
		}
	})
}

func TestPoint1TheLoadIsCancelledWhenNoCallerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		ended := make(chan struct{})
		load := func(ctx context.Context) {
			<-ctx.Done()
			close(ended)
		}
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		if _, err := onceStringCtx(ctx, n, "k", cache.Do(func(ctx context.Context) (any, error) { load(ctx); return nil, ctx.Err() })); !errors.Is(err, context.Canceled) {
			t.Errorf("Once: %v", err)
		}
		<-ended

		ended = make(chan struct{})
		ctx2, cancel2 := context.WithTimeout(context.Background(), time.Second)
		defer cancel2()
		_, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx2, "k", []int{1, 2}, func(ctx context.Context, _ []int) (map[int]string, error) {
			load(ctx)
			return nil, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("MGetWithErr: %v", err)
		}
		<-ended
		synctest.Wait()
		if keys := n.remote.Keys(); len(keys) != 0 {
			t.Errorf("a cancelled load left %v", keys)
		}
	})
}

func TestPoint1ABatchReturnsWhatItHasWhenItsCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		users := cache.NewT[int, user](n.Cache)
		if err := users.Set(ctx, "u", 1, userOf(1)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		got, err := users.MGetWithErr(ctx, "u", []int{1, 2}, func(ctx context.Context, _ []int) (map[int]user, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if len(got) != 1 || got[1].ID != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestPoint2IdsAreCoalescedOneByOne(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...cache.Option) *node{"both": both, "remote": onlyRemote, "local": onlyLocal} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := open(t)
				if n.remote != nil {
					n.remote.SetLatency(time.Millisecond)
				}
				users := cache.NewT[int, *user](n.Cache)
				var mu sync.Mutex
				asked := map[int]int{}
				load := func(_ context.Context, ids []int) (map[int]*user, error) {
					time.Sleep(50 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					found := map[int]*user{}
					for _, id := range ids {
						asked[id]++
						u := userOf(id)
						found[id] = &u
					}
					return found, nil
				}
				seen := map[*user]bool{}
				note := func(id int, u *user) {
					mu.Lock()
					defer mu.Unlock()
					if u == nil || u.ID != id || seen[u] {
						t.Errorf("the user of %d is %v (shared: %v)", id, u, seen[u])
					}
					seen[u] = true
				}
				var wg sync.WaitGroup
				for range 32 {
					wg.Go(func() {
						time.Sleep(rand.N(100 * time.Millisecond))
						ids := rand.Perm(200)[:100]
						got, err := users.MGetWithErr(ctx, "u", ids, load)
						if err != nil || len(got) != 100 {
							t.Errorf("got %d users, %v", len(got), err)
						}
						for _, id := range ids {
							note(id, got[id])
						}
					})
					wg.Go(func() {
						time.Sleep(rand.N(100 * time.Millisecond))
						id := rand.IntN(200)
						u, err := users.Get(ctx, "u", id, func(ctx context.Context, id int) (*user, error) {
							m, err := load(ctx, []int{id})
							return m[id], err
						})
						if err != nil {
							t.Error(err)
						}
						note(id, u)
					})
				}
				wg.Wait()
				for id, n := range asked {
					if n != 1 {
						t.Errorf("id %d was asked for %d times", id, n)
					}
				}
			})
		})
	}
}

func TestPoint2EachCallerGetsItsOwnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		users := cache.NewT[int, user](n.Cache)
		go func() { _, _ = onceString(n, "u:1", returnsAfter(time.Second, nil, errBoom)) }()
		synctest.Wait()
		got, err := users.MGetWithErr(ctx, "u", []int{1, 2}, func(_ context.Context, ids []int) (map[int]user, error) {
			if !slices.Equal(ids, []int{2}) {
				t.Errorf("the batch loads %v, want only what nobody else is loading", ids)
			}
			return map[int]user{2: userOf(2)}, nil
		})
		if len(got) != 1 || got[2].ID != 2 || !errors.Is(err, errBoom) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestPoint2ACallerWithALoaderDoesNotTakeAMissFromOneWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		n.remote.SetLatency(time.Second)
		go func() {
			if _, err := onceString(n, "k:1"); !errors.Is(err, cache.ErrCacheMiss) {
				t.Errorf("without a loader: %v", err)
			}
		}()
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() {
			if s, err := onceString(n, "k:1", returns("v", nil)); s != "v" || err != nil {
				t.Errorf("Once: %q, %v", s, err)
			}
		})
		wg.Go(func() {
			got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int]string, error) {
				return map[int]string{1: "v"}, nil
			})
			if got[1] != "v" || err != nil {
				t.Errorf("MGet: %v, %v", got, err)
			}
		})
		wg.Wait()
	})
}

func TestPoint3NoMixUps(t *testing.T) {
	n := both(t)
	// Different types under related keys, at the same time.
	var wg sync.WaitGroup
	strs, ints := cache.NewT[string, string](n.Cache), cache.NewT[string, int](n.Cache)
	ids := []string{"a", "a b", "a:b", "a", ":", "a:", " ", "a b c", "日本", "*", "%d", "a\x00b"}
	for range 20 {
		wg.Go(func() {
			got, err := strs.MGetWithErr(ctx, "s", ids, func(_ context.Context, ids []string) (map[string]string, error) {
				found := map[string]string{"not asked for": "x"}
				for _, id := range ids {
					found[id] = "<" + id + ">"
				}
				return found, nil
			})
			if err != nil || len(got) != len(ids)-1 {
				t.Errorf("got %v, %v", got, err)
			}
			for id, v := range got {
				if v != "<"+id+">" {
					t.Errorf("%q is %q", id, v)
				}
			}
		})
		wg.Go(func() {
			for i, id := range ids {
				v, err := ints.Get(ctx, "i", id, func(context.Context, string) (int, error) { return slices.Index(ids, id), nil })
				if err != nil || v != slices.Index(ids, id) {
					t.Errorf("%d: %q is %d, %v", i, id, v, err)
				}
			}
		})
	}
	wg.Wait()
	if n.inRemote("s:not asked for") != "-" {
		t.Error("an id that was not asked for was stored")
	}

	// One key read as different types at the same time: each caller gets its own result.
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		for i := range 10 {
			go func() {
				if i%2 == 0 {
					_ = n.Once(ctx, "same", cache.Value(new(string)), returnsAfter(time.Second, userOf(1), nil))
					return
				}
				var u user
				if err := n.Once(ctx, "same", cache.Value(&u), returnsAfter(time.Second, userOf(1), nil)); err != nil || u.ID != 1 {
					t.Errorf("as a user: %v, %v", u, err)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		got, err := cache.NewT[string, int](n.Cache).MGetWithErr(ctx, "", []string{"x"}, func(context.Context, []string) (map[string]int, error) {
			return nil, nil
		})
		if err != nil || len(got) != 0 {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

type textID struct{ n int }

func (id textID) String() string { return fmt.Sprint("id", id.n%2) }

func TestPoint3IdsWithTheSameTextShareAKey(t *testing.T) {
	n := both(t)
	things := cache.NewT[textID, int](n.Cache)
	got, err := things.MGetWithErr(ctx, "t", []textID{{1}, {2}, {3}}, func(_ context.Context, ids []textID) (map[textID]int, error) {
		found := map[textID]int{}
		for _, id := range ids {
			found[id] = id.n % 2
		}
		return found, nil
	})
	if err != nil || len(got) != 3 || got[textID{1}] != 1 || got[textID{2}] != 0 || got[textID{3}] != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPoint4APanicReachesEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		explode := func() { time.Sleep(time.Second); panic("the pieces") }
		check := func(what string, err error) {
			var p *cache.PanicError
			if !errors.As(err, &p) || !strings.Contains(err.Error(), "the pieces") || !strings.Contains(err.Error(), "points_loads_test.go") {
				t.Errorf("%s: %v", what, err)
			}
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := onceString(n, "once", cache.Do(func(context.Context) (any, error) { explode(); return nil, nil }))
				check("Once", err)
			})
			wg.Go(func() {
				_, err := cache.NewT[int, string](n.Cache).Get(ctx, "get", 1, func(context.Context, int) (string, error) { explode(); return "", nil })
				check("T.Get", err)
			})
			wg.Go(func() {
				_, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "mget", []int{1, 2}, func(context.Context, []int) (map[int]string, error) { explode(); return nil, nil })
				check("MGetWithErr", err)
			})
		}
		wg.Go(func() {
			check("Set", n.Set(ctx, "set", cache.Do(func(context.Context) (any, error) { explode(); return nil, nil })))
		})
		wg.Wait()
		for _, key := range []string{"once", "get:1", "mget:1", "mget:2", "set"} {
			if s, err := onceString(n, key, returns("v", nil)); s != "v" || err != nil {
				t.Errorf("%q afterwards: %q, %v", key, s, err)
			}
		}
	})
}

func TestPoint4ALoaderThatEndsItsGoroutine(t *testing.T) {
	n := both(t)
	if _, err := onceString(n, "k", cache.Do(func(context.Context) (any, error) { runtime.Goexit(); return nil, nil })); err == nil {
		t.Error("Once: no error")
	}
	if _, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int]string, error) { runtime.Goexit(); return nil, nil }); err == nil {
		t.Error("MGetWithErr: no error")
	}
	if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
		t.Errorf("afterwards: %q, %v", s, err)
	}
}

func TestPoint5LoadingAKeyInsideItsOwnLoaderIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		ints := cache.NewT[int, int](n.Cache)
		var inner func(ctx context.Context, id int) (int, error)
		inner = func(ctx context.Context, id int) (int, error) { return ints.Get(ctx, "k", id, inner) }
		if _, err := ints.Get(ctx, "k", 1, inner); !errors.Is(err, cache.ErrLoaderCycle) {
			t.Errorf("T.Get in itself: %v", err)
		}
		_, err := ints.MGetWithErr(ctx, "k", []int{1, 2}, func(ctx context.Context, ids []int) (map[int]int, error) {
			v, err := ints.Get(ctx, "k", 2, inner)
			return map[int]int{2: v}, err
		})
		if !errors.Is(err, cache.ErrLoaderCycle) {
			t.Errorf("T.Get in MGet: %v", err)
		}
		_, err = ints.MGetWithErr(ctx, "k", []int{1, 2}, func(ctx context.Context, ids []int) (map[int]int, error) {
			return ints.MGetWithErr(ctx, "k", ids, func(context.Context, []int) (map[int]int, error) { return nil, nil })
		})
		if !errors.Is(err, cache.ErrLoaderCycle) {
			t.Errorf("MGet in itself: %v", err)
		}
		// With a ctx that is not the loader's.
		_, err = onceString(n, "k", cache.Do(func(context.Context) (any, error) { return onceString(n, "k", returns("v", nil)) }))
		if !errors.Is(err, cache.ErrLoaderCycle) {
			t.Errorf("with another ctx: %v", err)
		}
		// Another key is fine.
		s, err := onceString(n, "outer", cache.Do(func(ctx context.Context) (any, error) { return onceStringCtx(ctx, n, "inner", returns("v", nil)) }))
		if s != "v" || err != nil {
			t.Errorf("another key: %q, %v", s, err)
		}
	})
}

func TestPoint6WithoutALoaderAMissIsAMiss(t *testing.T) {
	n := both(t)
	if _, err := onceString(n, "k"); !errors.Is(err, cache.ErrCacheMiss) {
		t.Errorf("Once: %v", err)
	}
	if _, err := onceString(n, "k", cache.Do(nil)); !errors.Is(err, cache.ErrCacheMiss) {
		t.Errorf("Once with a nil loader: %v", err)
	}
	if _, err := cache.NewT[int, string](n.Cache).Get(ctx, "k", 1, nil); !errors.Is(err, cache.ErrCacheMiss) {
		t.Errorf("T.Get: %v", err)
	}
	got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, nil)
	if !errors.Is(err, cache.ErrCacheMiss) || len(got) != 0 {
		t.Errorf("MGetWithErr: %v, %v", got, err)
	}
	n.expectStored(t, "k", "-", "-")
	n.expectStored(t, "k:1", "-", "-")
}

// A stampede, on real time: one load, whatever the interleaving.
func TestStampede(t *testing.T) {
	n := both(t)
	var loads atomic.Int32
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			s, err := onceString(n, "k", cache.Do(func(context.Context) (any, error) {
				loads.Add(1)
				runtime.Gosched()
				return "v", nil
			}))
			if s != "v" || err != nil {
				t.Errorf("got %q, %v", s, err)
			}
		})
	}
	wg.Wait()
	if loads.Load() != 1 {
		t.Errorf("%d loads", loads.Load())
	}
}
