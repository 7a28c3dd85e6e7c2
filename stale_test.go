package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// The TTL of the items of these tests, and how long they may be used beyond it.
const (
	lifeOfStale = 10 * time.Second
	maxStale    = time.Minute
)

// staleNodes calls f with nodes over each kind of store, with and without a remote.
func staleNodes(t *testing.T, opts []cache.Option, f func(t *testing.T, n *node)) {
	for store := range stores {
		for _, remote := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, remote %v", store, remote), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					if remote {
						f(t, overStore(t, store, opts...))
						return
					}
					n := &node{local: stores[store](t), counts: &recStats{}}
					f(t, n.open(t, append([]cache.Option{cache.WithLocal(n.local)}, opts...)))
				})
			})
		}
	}
}

// expectOnce checks what Once returns.
func (n *node) expectOnce(t testing.TB, want string, wantErr error, opts ...cache.ItemOption) {
	t.Helper()
	if s, err := onceString(n, "k", append(opts, cache.TTL(lifeOfStale))...); s != want || !errors.Is(err, wantErr) {
		t.Errorf("got %q, %v, want %q, %v", s, err, want, wantErr)
	}
}

func TestAStaleValueIsReturnedIfTheLoadFails(t *testing.T) {
	staleNodes(t, []cache.Option{cache.WithStaleOnError(maxStale)}, func(t *testing.T, n *node) {
		n.expectOnce(t, "v1", nil, returns("v1", nil))
		pass(lifeOfStale + time.Millisecond)
		n.expectOnce(t, "v1", nil, returns("", errBoom))
		// The key is not tried again for a second.
		pass(time.Second - time.Millisecond)
		n.expectOnce(t, "v1", nil, never(t))
		pass(time.Second / 2)
		n.expectOnce(t, "v1", nil, returns("", errBoom))
		// Its age is never forgotten.
		for passed := lifeOfStale + 1500*time.Millisecond; passed < lifeOfStale+maxStale-5*time.Second; passed += 5 * time.Second {
			n.expectOnce(t, "v1", nil, returns("", errBoom))
			pass(5 * time.Second)
		}
		pass(5 * time.Second)
		n.expectOnce(t, "", errBoom, returns("", errBoom))
		n.expectOnce(t, "v2", nil, returns("v2", nil))
	})
}

func TestALoadThatSucceedsReplacesTheStaleValue(t *testing.T) {
	staleNodes(t, []cache.Option{cache.WithStaleOnError(maxStale)}, func(t *testing.T, n *node) {
		n.expectOnce(t, "v1", nil, returns("v1", nil))
		pass(lifeOfStale + time.Millisecond)
		n.expectOnce(t, "v2", nil, returns("v2", nil))
		n.expectOnce(t, "v2", nil, never(t))
		pass(lifeOfStale + time.Millisecond)
		n.expectOnce(t, "v2", nil, returns("", errBoom))
	})
}

func TestWhatRemovesAStaleValue(t *testing.T) {
	for name, remove := range map[string]func(n *node){
		"not found":            func(n *node) { _, _ = onceString(n, "k", returns(nil, cache.ErrNotFound)) },
		"Delete":               func(n *node) { _ = n.Delete(ctx, "k") },
		"DeleteFromLocalCache": func(n *node) { n.DeleteFromLocalCache("k") },
		"Set to not found":     func(n *node) { _ = n.Set(ctx, "k", returns(nil, cache.ErrNotFound)) },
		"Set with SkipLocal":   func(n *node) { _ = n.Set(ctx, "k", cache.Value("v"), cache.SkipLocal(true), cache.TTL(time.Second)) },
		"Set that expires at once": func(n *node) {
			_ = n.Set(ctx, "k", cache.Value("v"), cache.TTL(time.Millisecond), cache.StaleOnError(-1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			staleNodes(t, []cache.Option{cache.WithStaleOnError(time.Hour), cache.WithNotFoundExpiry(time.Second)}, func(t *testing.T, n *node) {
				n.expectOnce(t, "v1", nil, returns("v1", nil))
				pass(lifeOfStale + time.Millisecond)
				remove(n)
				pass(5 * time.Second)
				n.expectOnce(t, "", errBoom, returns("", errBoom))
			})
		})
	}
}

func TestWhatIsNoFailureOfALoad(t *testing.T) {
	staleNodes(t, []cache.Option{cache.WithStaleOnError(maxStale)}, func(t *testing.T, n *node) {
		n.expectOnce(t, "v1", nil, returns("v1", nil))
		pass(lifeOfStale + time.Millisecond)
		gone, leave := context.WithTimeout(ctx, time.Second)
		defer leave()
		if s, err := onceStringCtx(gone, n, "k", returnsAfter(2*time.Second, "", errBoom)); s != "" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller's own deadline: %q, %v", s, err)
		}
		pass(5 * time.Second)
		n.expectOnce(t, "", cache.ErrCacheMiss) // no loader
		n.expectOnce(t, "", cache.ErrLoaderCycle, cache.Do(func(ctx context.Context) (any, error) { return onceStringCtx(ctx, n, "k", never(t)) }))
		n.expectOnce(t, "", errBoom, returns("", errBoom), cache.SkipLocal(true))
		n.expectOnce(t, "", errBoom, returns("", errBoom), cache.StaleOnError(-1))
		var s string
		if err := n.Get(ctx, "k", &s); !errors.Is(err, cache.ErrCacheMiss) {
			t.Errorf("Get: %q, %v", s, err)
		}
		n.expectOnce(t, "v1", nil, cache.Do(func(context.Context) (any, error) { panic("the pieces") }))
	})
}

func TestTheCallerSaysWhichErrorsCount(t *testing.T) {
	errOther := errors.New("other")
	opts := []cache.Option{cache.WithStaleOnError(maxStale), cache.WithStaleIf(func(err error) bool { return errors.Is(err, errBoom) })}
	staleNodes(t, opts, func(t *testing.T, n *node) {
		n.expectOnce(t, "v1", nil, returns("v1", nil))
		pass(lifeOfStale + time.Millisecond)
		n.expectOnce(t, "", errOther, returns("", errOther))
		n.expectOnce(t, "v1", nil, returns("", fmt.Errorf("query: %w", errBoom)))
	})
}

func TestCallersThatWaitForAFailedLoadGetTheStaleValue(t *testing.T) {
	staleNodes(t, nil, func(t *testing.T, n *node) {
		n.expectOnce(t, "v1", nil, returns("v1", nil), cache.StaleOnError(maxStale))
		pass(lifeOfStale + time.Millisecond)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				want, wantErr, option := "v1", error(nil), cache.StaleOnError(maxStale)
				if i%2 == 0 {
					want, wantErr, option = "", errBoom, cache.StaleOnError(0)
				}
				n.expectOnce(t, want, wantErr, returnsAfter(time.Second, "", errBoom), option)
			})
		}
		wg.Wait()
	})
}

func TestTheRemoteIsAskedBeforeAStaleValueIsUsed(t *testing.T) {
	for store := range stores {
		synctest.Test(t, func(t *testing.T) {
			n := overStore(t, store, cache.WithStaleOnError(maxStale))
			n.expectOnce(t, "v1", nil, returns("v1", nil))
			pass(lifeOfStale + time.Millisecond)
			_ = n.remote.SetEX(ctx, "k", "v2", time.Minute)
			n.expectOnce(t, "v2", nil, never(t))
		})
	}
}

func TestAStaleValueIsReturnedWhileTheRemoteAndTheLoaderFail(t *testing.T) {
	for store := range stores {
		synctest.Test(t, func(t *testing.T) {
			n := overStore(t, store, cache.WithStaleOnError(maxStale))
			n.expectOnce(t, "v1", nil, returns("v1", nil))
			pass(lifeOfStale + time.Millisecond)
			n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
			n.expectOnce(t, "v1", nil, returns("", errBoom))
			n.expectOnce(t, "v1", nil, never(t))
		})
	}
}

func TestAStaleValueIsReturnedWhileItIsLoaded(t *testing.T) {
	staleNodes(t, []cache.Option{cache.WithStaleWhileRevalidate(maxStale)}, func(t *testing.T, n *node) {
		n.expectOnce(t, "v1", nil, returns("v1", nil))
		pass(lifeOfStale + time.Millisecond)
		n.counts.take()
		var c counted
		began := time.Now()
		for range 10 {
			n.expectOnce(t, "v1", nil, cache.Do(func(context.Context) (any, error) {
				defer c.enter()()
				time.Sleep(time.Second)
				return "v2", nil
			}))
		}
		if time.Since(began) != 0 {
			t.Errorf("callers waited for %s", time.Since(began))
		}
		pass(time.Second)
		n.expectOnce(t, "v2", nil, never(t))
		if c.calls.Load() != 1 {
			t.Errorf("%d loads", c.calls.Load())
		}
		if got := n.counts.take(); got != "h*11 lh*11 q" {
			t.Errorf("counted %s", got)
		}
		// A load that fails is not tried again at once, and beyond the window a caller waits.
		pass(lifeOfStale)
		n.expectOnce(t, "v2", nil, returns("", errBoom))
		synctest.Wait()
		n.expectOnce(t, "v2", nil, never(t))
		pass(maxStale)
		n.expectOnce(t, "", errBoom, returns("", errBoom))
	})
}

func TestAnInvalidationDuringABackgroundLoadHolds(t *testing.T) {
	staleNodes(t, []cache.Option{cache.WithStaleWhileRevalidate(maxStale)}, func(t *testing.T, n *node) {
		n.expectOnce(t, "v1", nil, returns("v1", nil))
		pass(lifeOfStale + time.Millisecond)
		n.expectOnce(t, "v1", nil, returnsAfter(time.Second, "old", nil))
		pass(time.Second / 2)
		if err := n.Delete(ctx, "k"); err != nil {
			t.Error(err)
		}
		n.expectOnce(t, "v3", nil, returns("v3", nil))
		pass(time.Second)
		n.expectOnce(t, "v3", nil, never(t))
	})
}

func TestABackgroundLoadHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		n := both(t, cache.WithStaleWhileRevalidate(time.Hour))
		n.expectOnce(t, "v1", nil, returns("v1", nil))
		pass(lifeOfStale + time.Millisecond)
		began := time.Now()
		ended := make(chan time.Duration, 1)
		caller, leave := context.WithCancel(ctx)
		s, err := onceStringCtx(caller, n, "k", cache.Do(func(ctx context.Context) (any, error) {
			<-ctx.Done()
			ended <- time.Since(began)
			return nil, ctx.Err()
		}))
		leave()
		if s != "v1" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		if d := <-ended; d != 30*time.Second {
			t.Errorf("the load ended after %s", d)
		}
		synctest.Wait()
		if lines := log.matching("in the background"); len(lines) != 1 {
			t.Errorf("logged %q", lines)
		}
	})
}

func TestASoftTimeoutBoundsTheWaitOfThoseWhoHaveAStaleValue(t *testing.T) {
	opts := []cache.Option{cache.WithStaleOnError(maxStale), cache.WithSoftTimeout(time.Second)}
	staleNodes(t, opts, func(t *testing.T, n *node) {
		n.expectOnce(t, "v1", nil, returnsAfter(5*time.Second, "v1", nil)) // a cold key has no stale value
		pass(lifeOfStale + time.Millisecond)
		n.expectOnce(t, "v2", nil, returnsAfter(time.Second/2, "v2", nil)) // a load in time
		pass(lifeOfStale + time.Millisecond)
		var c counted
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				began := time.Now()
				n.expectOnce(t, "v2", nil, cache.Do(func(context.Context) (any, error) {
					defer c.enter()()
					time.Sleep(5 * time.Second)
					return "v3", nil
				}))
				if d := time.Since(began); d != time.Second {
					t.Errorf("it took %s", d)
				}
			})
		}
		wg.Wait()
		pass(5 * time.Second) // the load goes on
		n.expectOnce(t, "v3", nil, never(t))
		if c.calls.Load() != 1 {
			t.Errorf("%d loads", c.calls.Load())
		}
		pass(lifeOfStale)
		n.expectOnce(t, "v3", nil, returnsAfter(time.Second/2, "", errBoom))
	})
}

// The load that a reader has joined ends without a result, because it has waited for the places of other
// loads for too long. The reader still waits no longer than the soft timeout.
func TestASoftTimeoutHoldsIfTheLoadWithdraws(t *testing.T) {
	opts := []cache.Option{
		cache.WithStaleOnError(maxStale), cache.WithSoftTimeout(time.Second), cache.WithLoadTimeout(5 * time.Second), cache.WithLoadConcurrency(1),
	}
	staleNodes(t, opts, func(t *testing.T, n *node) {
		n.expectOnce(t, "v1", nil, returns("v1", nil))
		pass(lifeOfStale + time.Millisecond)
		var wg sync.WaitGroup
		wg.Go(func() { // it keeps the place
			if _, err := onceString(n, "hangs", returnsAfter(20*time.Second, "", errBoom)); !errors.Is(err, cache.ErrLoadTimeout) {
				t.Errorf("the load that hangs: %v", err)
			}
		})
		synctest.Wait()
		for range 4 {
			call, cancel := context.WithTimeout(ctx, 3*time.Second)
			began := time.Now()
			s, err := onceStringCtx(call, n, "k", returns("v2", nil))
			if took := time.Since(began); s != "v1" || err != nil || took > time.Second {
				t.Errorf("got %q, %v, after %s", s, err, took)
			}
			cancel()
			time.Sleep(time.Second / 2) // the last one joins the load half a second before its end
		}
		wg.Wait()
		pass(20 * time.Second)
	})
}

// batchOf returns a typed view, and a function that reads the users 1 to 3 by a loader.
func batchOf(t *testing.T, n *node, opts ...cache.ItemOption) func(load func(ids []int) (map[int]user, error)) (map[int]user, error) {
	users := cache.NewT[int, user](n.Cache)
	return func(load func(ids []int) (map[int]user, error)) (map[int]user, error) {
		t.Helper()
		return users.MFetch(ctx, "u", []int{1, 2, 3}, func(_ context.Context, ids []int) (map[int]user, error) {
			slices.Sort(ids)
			return load(ids)
		}, append(opts, cache.TTL(lifeOfStale))...)
	}
}

// versioned returns users of this version.
func versioned(version string, ids ...int) map[int]user {
	found := make(map[int]user)
	for _, id := range ids {
		found[id] = user{ID: id, Name: version}
	}
	return found
}

// names returns the names of users, by id.
func names(users map[int]user) string {
	var all []string
	for id, u := range users {
		all = append(all, fmt.Sprint(id, u.Name))
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

func TestABatchPartStalePartCold(t *testing.T) {
	staleNodes(t, []cache.Option{cache.WithStaleOnError(maxStale)}, func(t *testing.T, n *node) {
		read := batchOf(t, n)
		_, _ = read(func([]int) (map[int]user, error) { return versioned("a", 1, 2), nil })
		n.DeleteFromLocalCache("u:3")
		_ = n.Delete(ctx, "u:3")
		pass(lifeOfStale + time.Millisecond)
		found, err := read(func([]int) (map[int]user, error) { return nil, errBoom })
		if names(found) != "[1a 2a]" || !errors.Is(err, errBoom) {
			t.Errorf("one is cold: %s, %v", names(found), err)
		}
		found, err = read(func(ids []int) (map[int]user, error) {
			if !slices.Equal(ids, []int{3}) {
				t.Errorf("asked for %v", ids)
			}
			return versioned("b", 3), nil
		})
		if names(found) != "[1a 2a 3b]" || err != nil {
			t.Errorf("then: %s, %v", names(found), err)
		}
		pass(2 * time.Second)
		found, err = read(func([]int) (map[int]user, error) { return nil, errBoom })
		if names(found) != "[1a 2a 3b]" || err != nil {
			t.Errorf("all are stale or fresh: %s, %v", names(found), err)
		}
		pass(2 * time.Second)
		found, err = read(func(ids []int) (map[int]user, error) { return versioned("c", 1), errBoom })
		if names(found) != "[1c 2a 3b]" || !errors.Is(err, errBoom) {
			t.Errorf("values beside an error: %s, %v", names(found), err)
		}
	})
}

func TestABatchIsLoadedInTheBackground(t *testing.T) {
	staleNodes(t, []cache.Option{cache.WithStaleWhileRevalidate(maxStale)}, func(t *testing.T, n *node) {
		read := batchOf(t, n)
		_, _ = read(func([]int) (map[int]user, error) { return versioned("a", 1, 2, 3), nil })
		pass(lifeOfStale + time.Millisecond)
		began := time.Now()
		calls := 0
		for range 5 {
			found, err := read(func(ids []int) (map[int]user, error) {
				calls++
				time.Sleep(time.Second)
				return versioned("b", 1, 2), nil
			})
			if names(found) != "[1a 2a 3a]" || err != nil || time.Since(began) != 0 {
				t.Errorf("%s, %v, after %s", names(found), err, time.Since(began))
			}
			found[1] = user{} // the caller's
		}
		pass(time.Second)
		found, err := read(func([]int) (map[int]user, error) { t.Error("another load"); return nil, nil })
		if names(found) != "[1b 2b]" || err != nil || calls != 1 {
			t.Errorf("then: %s, %v, %d loads", names(found), err, calls)
		}
	})
}

func TestASoftTimeoutOfABatch(t *testing.T) {
	opts := []cache.Option{cache.WithStaleOnError(maxStale), cache.WithSoftTimeout(time.Second)}
	staleNodes(t, opts, func(t *testing.T, n *node) {
		read := batchOf(t, n)
		slow := func(version string, d time.Duration, ids ...int) func([]int) (map[int]user, error) {
			return func([]int) (map[int]user, error) { time.Sleep(d); return versioned(version, ids...), nil }
		}
		_, _ = read(slow("a", 5*time.Second, 1, 2, 3))
		pass(lifeOfStale + time.Millisecond)
		if found, err := read(slow("b", time.Second/2, 1, 2, 3)); names(found) != "[1b 2b 3b]" || err != nil {
			t.Errorf("in time: %s, %v", names(found), err)
		}
		pass(lifeOfStale + time.Millisecond)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				began := time.Now()
				found, err := read(slow("c", 5*time.Second, 1, 2))
				if names(found) != "[1b 2b 3b]" || err != nil || time.Since(began) != time.Second {
					t.Errorf("too late: %s, %v, after %s", names(found), err, time.Since(began))
				}
			})
		}
		wg.Wait()
		pass(5 * time.Second)
		if found, err := read(slow("d", 0)); names(found) != "[1c 2c]" || err != nil {
			t.Errorf("then: %s, %v", names(found), err)
		}
		// One that is cold: the caller waits.
		_ = n.Delete(ctx, "u:1")
		if found, err := read(slow("e", 5*time.Second, 1)); names(found) != "[1e 2c]" || err != nil {
			t.Errorf("one is cold: %s, %v", names(found), err)
		}
	})
}

func TestTypedReadsReturnStaleValues(t *testing.T) {
	staleNodes(t, []cache.Option{cache.WithStaleOnError(maxStale), cache.WithRemoteExpiry(lifeOfStale)}, func(t *testing.T, n *node) {
		users := cache.NewT[int, user](n.Cache)
		get := func(err error) (user, error) {
			return users.Get(ctx, "u", 1, func(context.Context, int) (user, error) { return userOf(1), err })
		}
		_, _ = users.Fetch(ctx, "u", 1, func(context.Context, int) (user, error) { return userOf(1), nil }, cache.TTL(lifeOfStale))
		_, _ = get(nil)
		pass(lifeOfStale + time.Millisecond)
		if u, err := get(errBoom); u.Name != "user 1" || err != nil {
			t.Errorf("got %v, %v", u, err)
		}
	})
}

func TestStaleOnlyAnswersByStaleValuesWhileTheRemoteIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, append(guards(), cache.WithRemoteDown(cache.StaleOnly), cache.WithStaleOnError(maxStale),
			cache.WithStaleIf(func(error) bool { return false }))...)
		read := batchOf(t, n)
		n.expectOnce(t, "v1", nil, returns("v1", nil))
		_, _ = read(func([]int) (map[int]user, error) { return versioned("a", 1, 2), nil })
		trip(t, n)
		pass(lifeOfStale + time.Millisecond)
		n.expectOnce(t, "v1", nil, never(t))
		n.DeleteFromLocalCache("u2")
		found, err := read(func([]int) (map[int]user, error) { t.Error("the loader was called"); return nil, nil })
		if names(found) != "[1a]" || !errors.Is(err, cache.ErrRemoteUnavailable) {
			t.Errorf("a batch: %s, %v", names(found), err)
		}
		pass(maxStale)
		n.expectOnce(t, "", cache.ErrRemoteUnavailable, never(t))
	})
}
