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
)

// topologies make a node of each kind.
var topologies = map[string]func(t testing.TB, opts ...cache.Option) *node{"both": both, "only remote": onlyRemote, "only local": onlyLocal}

func TestALoadThatTakesTooLongIsGivenUp(t *testing.T) {
	for name, topology := range topologies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := topology(t, cache.WithLoadTimeout(time.Second))
				began := time.Now()
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						if _, err := onceString(n, "k", returnsAfter(time.Minute, "late", nil)); !errors.Is(err, cache.ErrLoadTimeout) {
							t.Errorf("got %v", err)
						}
					})
				}
				wg.Wait()
				if d := time.Since(began); d != time.Second {
					t.Errorf("it took %s", d)
				}
				// The key is free, although the loader still runs.
				if s, err := onceString(n, "k", returns("new", nil)); s != "new" || err != nil {
					t.Errorf("got %q, %v", s, err)
				}
				pass(time.Hour / 2)
				if s, err := onceString(n, "k", never(t)); s != "new" || err != nil {
					t.Errorf("when the old loader had returned: %q, %v", s, err)
				}
				n.Close()
			})
		})
	}
}

func TestALoadTimeoutEndsTheLoadersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		users := cache.NewT[int, user](n.Cache)
		heeds := func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("database: %w", ctx.Err())
		}
		_, err := onceString(n, "k", cache.Do(func(ctx context.Context) (any, error) { return "v", heeds(ctx) }), cache.LoadTimeout(time.Second))
		if !errors.Is(err, cache.ErrLoadTimeout) {
			t.Errorf("Once: %v", err)
		}
		_, err = users.Fetch(ctx, "u", 1, func(ctx context.Context, _ int) (user, error) { return user{}, heeds(ctx) }, cache.LoadTimeout(time.Second))
		if !errors.Is(err, cache.ErrLoadTimeout) {
			t.Errorf("Fetch: %v", err)
		}
		found, err := users.MFetch(ctx, "u", []int{1, 2}, func(ctx context.Context, ids []int) (map[int]user, error) {
			return map[int]user{1: userOf(1)}, heeds(ctx)
		}, cache.LoadTimeout(time.Second))
		if !errors.Is(err, cache.ErrLoadTimeout) {
			t.Errorf("MFetch: %v, %v", found, err)
		}
		if err := n.Set(ctx, "k", cache.Do(func(ctx context.Context) (any, error) { return "v", heeds(ctx) }), cache.LoadTimeout(time.Second)); !errors.Is(err, cache.ErrLoadTimeout) {
			t.Errorf("Set: %v", err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Error("it is taken for the deadline of a caller")
		}
		n.expectStored(t, "k", "-", "-")
	})
}

func TestALateBatchChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithLoadTimeout(time.Second))
		users := cache.NewT[int, user](n.Cache)
		found, err := users.MGetWithErr(ctx, "u", []int{1, 2}, func(context.Context, []int) (map[int]user, error) {
			time.Sleep(time.Minute)
			return map[int]user{1: userOf(7), 2: userOf(7)}, nil
		})
		if len(found) != 0 || !errors.Is(err, cache.ErrLoadTimeout) {
			t.Errorf("got %v, %v", found, err)
		}
		pass(time.Hour / 2)
		if len(found) != 0 {
			t.Errorf("the result has changed: %v", found)
		}
		if found, err := users.MGetWithErr(ctx, "u", []int{1, 2}, loadUsers); err != nil || found[1].ID != 1 || found[2].ID != 2 {
			t.Errorf("got %v, %v", found, err)
		}
	})
}

func TestACallCanSwitchTheLoadTimeoutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithLoadTimeout(time.Second))
		if s, err := onceString(n, "k", returnsAfter(time.Minute, "v", nil), cache.LoadTimeout(-1)); s != "v" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		if _, err := onceString(n, "l", returnsAfter(time.Minute, "v", nil), cache.LoadTimeout(time.Second/2)); !errors.Is(err, cache.ErrLoadTimeout) {
			t.Errorf("got %v", err)
		}
		pass(time.Minute)
	})
}

func TestALoaderThatPanicsInTimeIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithLoadTimeout(time.Second))
		_, err := onceString(n, "k", cache.Do(func(context.Context) (any, error) { panic("the pieces") }))
		if panicked := new(cache.PanicError); !errors.As(err, &panicked) {
			t.Errorf("got %v", err)
		}
		_, err = onceString(n, "k", cache.Do(func(ctx context.Context) (any, error) {
			return onceStringCtx(ctx, n, "k", never(t)) // its own key
		}))
		if !errors.Is(err, cache.ErrLoaderCycle) {
			t.Errorf("got %v", err)
		}
	})
}

// counted is a loader that takes d, and counts how many run at a time.
type counted struct{ running, most, calls atomic.Int64 }

func (c *counted) enter() (leave func()) {
	n := c.running.Add(1)
	for most := c.most.Load(); n > most; most = c.most.Load() {
		c.most.CompareAndSwap(most, n)
	}
	c.calls.Add(1)
	return func() { c.running.Add(-1) }
}

func (c *counted) takes(d time.Duration) cache.ItemOption {
	return cache.Do(func(context.Context) (any, error) {
		defer c.enter()()
		time.Sleep(d)
		return "v", nil
	})
}

func TestLoadConcurrencyBoundsTheLoads(t *testing.T) {
	for name, topology := range topologies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := topology(t, cache.WithLoadConcurrency(3))
				var c counted
				began := time.Now()
				var wg sync.WaitGroup
				for i := range 12 {
					wg.Go(func() {
						if s, err := onceString(n, fmt.Sprint("k", i), c.takes(time.Second)); s != "v" || err != nil {
							t.Errorf("got %q, %v", s, err)
						}
					})
				}
				wg.Wait()
				if most, calls, d := c.most.Load(), c.calls.Load(), time.Since(began); most != 3 || calls != 12 || d != 4*time.Second {
					t.Errorf("%d at a time, %d in all, in %s", most, calls, d)
				}
			})
		})
	}
}

func TestACallerQueuesOnItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithLoadConcurrency(1), cache.WithLoadTimeout(time.Minute))
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := onceString(n, "hangs", returnsAfter(time.Hour, "v", nil)); !errors.Is(err, cache.ErrLoadTimeout) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		began := time.Now()
		if _, err := onceStringCtx(ctx, n, "k", never(t)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		wg.Wait()
		// The loader does not heed its deadline, so it keeps its place.
		began = time.Now()
		if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil || time.Since(began) < 58*time.Minute {
			t.Errorf("got %q, %v after %s", s, err, time.Since(began))
		}
	})
}

func TestNestedLoadsNeedNoFurtherPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithLoadConcurrency(1))
		outer := func(inner string) cache.ItemOption {
			return cache.Do(func(ctx context.Context) (any, error) {
				time.Sleep(time.Second)
				return onceStringCtx(ctx, n, inner, returnsAfter(time.Second, "v", nil))
			})
		}
		if s, err := onceString(n, "outer", outer("inner")); s != "v" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		// The load of the inner key waits for the place of the loader that waits for it.
		var wg sync.WaitGroup
		wg.Go(func() {
			if s, err := onceString(n, "outer 2", outer("inner 2")); s != "v" || err != nil {
				t.Errorf("got %q, %v", s, err)
			}
		})
		time.Sleep(time.Second / 2)
		wg.Go(func() {
			if s, err := onceString(n, "inner 2", returnsAfter(time.Second, "v", nil)); s != "v" || err != nil {
				t.Errorf("got %q, %v", s, err)
			}
		})
		wg.Wait()
	})
}
