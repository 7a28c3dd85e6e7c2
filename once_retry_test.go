package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// When a load ends with a context error, and who loads again then.

// idsUpTo returns 1 to n.
func idsUpTo(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i + 1
	}
	return ids
}

// A batch has joined the load of a leader whose loader uses the leader's own ctx. When that ends,
// the batch loads its keys by itself, however many they are.
func TestABatchLoadsAgainWhatALeaderLeftBehind(t *testing.T) {
	for _, n := range []int{1, 50, 300} {
		synctest.Test(t, func(t *testing.T) {
			strs := cache.NewT[int, string](both(t).Cache)
			leading, leave := context.WithCancel(ctx)
			go func() {
				_, _ = strs.MGetWithErr(leading, "k", idsUpTo(n), func(context.Context, []int) (map[int]string, error) {
					<-leading.Done()
					return nil, leading.Err()
				})
			}()
			synctest.Wait()
			go func() { time.Sleep(time.Second); leave() }()
			got, err := strs.MGetWithErr(ctx, "k", idsUpTo(n), func(_ context.Context, ids []int) (map[int]string, error) {
				found := map[int]string{}
				for _, id := range ids {
					found[id] = "v"
				}
				return found, nil
			})
			if len(got) != n || err != nil {
				t.Errorf("%d of %d values, %v", len(got), n, err)
			}
		})
	}
}

// A context error that a loader returns on its own, such as that of a query with a deadline, is
// an error like any other: all who wait get it, and nobody loads again.
func TestALoadersOwnDeadlineIsShared(t *testing.T) {
	for _, cause := range []error{context.DeadlineExceeded, context.Canceled} {
		synctest.Test(t, func(t *testing.T) {
			n := both(t)
			strs := cache.NewT[int, string](n.Cache)
			var loads atomic.Int32
			query := func() error {
				loads.Add(1)
				time.Sleep(200 * time.Millisecond)
				return cause
			}
			calls := map[string]func(ctx context.Context) error{
				"Once": func(ctx context.Context) error {
					_, err := onceStringCtx(ctx, n, "k", cache.Do(func(context.Context) (any, error) { return nil, query() }))
					return err
				},
				"MGet": func(ctx context.Context) error {
					_, err := strs.MGetWithErr(ctx, "ids", idsUpTo(10), func(context.Context, []int) (map[int]string, error) { return nil, query() })
					return err
				},
			}
			for name, call := range calls {
				loads.Store(0)
				began := time.Now()
				var wg sync.WaitGroup
				for range 300 {
					wg.Go(func() {
						waiting, cancel := context.WithTimeout(ctx, 5*time.Second)
						defer cancel()
						if err := call(waiting); !errors.Is(err, cause) || waiting.Err() != nil {
							t.Errorf("%s: %v", name, err)
						}
					})
				}
				wg.Wait()
				if got := loads.Load(); got != 1 || time.Since(began) != 200*time.Millisecond {
					t.Errorf("%s: %d loads in %s", name, got, time.Since(began))
				}
			}
		})
	}
}

// Leaders that leave one after another do not make a waiter load without end, nor wait without end.
func TestAWaiterAsksAgainInABoundedNumberOfRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		strs := cache.NewT[int, string](both(t).Cache)
		var leaders atomic.Int32
		// lead begins loads that end with their leader, again and again.
		lead := func() {
			for range 100 {
				leaving, leave := context.WithTimeout(ctx, time.Second)
				_, _ = strs.Get(leaving, "k", 1, func(context.Context, int) (string, error) {
					leaders.Add(1)
					<-leaving.Done()
					return "", leaving.Err()
				})
				leave()
			}
		}
		go lead()
		synctest.Wait()
		began := time.Now()
		_, err := strs.Get(ctx, "k", 1, func(context.Context, int) (string, error) { return "mine", nil })
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%v after %s and %d leaders", err, took, leaders.Load())
		}
		time.Sleep(time.Hour)
	})
}

// A refresh that runs into its deadline does not fail the readers that have joined it.
func TestAReaderLoadsAgainAfterARefreshThatTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(interval), cache.WithRefreshTimeout(time.Second))
		_, _ = onceString(n, "k", cache.Refresh(true), cache.Do(func(ctx context.Context) (any, error) {
			if _, ok := ctx.Deadline(); ok { // in the background
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return "v", nil
		}))
		pass(interval + spread)
		n.local.Del("k")
		_, _ = n.remote.Del(ctx, "k")
		if s, err := onceString(n, "k", returns("v2", nil)); s != "v2" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
	})
}

// A batch whose caller has left while it read the remote does not call its loader.
func TestAnAbandonedBatchCallsNoLoader(t *testing.T) {
	for _, opts := range [][]cache.Option{nil, {cache.WithFence(time.Minute)}, {cache.WithLease(time.Minute)}} {
		synctest.Test(t, func(t *testing.T) {
			n := both(t, opts...)
			n.remote.SetLatency(time.Second)
			leaving, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			defer cancel()
			loads := 0
			_, err := cache.NewT[int, string](n.Cache).MGetWithErr(leaving, "k", idsUpTo(3), func(context.Context, []int) (map[int]string, error) {
				loads++
				return nil, nil
			})
			time.Sleep(time.Minute)
			if !errors.Is(err, context.DeadlineExceeded) || loads != 0 {
				t.Errorf("%v, %d loads", err, loads)
			}
		})
	}
}

// Readers without a loader do not keep a caller with a loader from loading.
func TestReadersWithoutALoaderDoNotKeepOthersFromLoading(t *testing.T) {
	n := onlyRemote(t)
	n.remote.SetLatency(time.Millisecond)
	strs := cache.NewT[int, string](n.Cache)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if i%2 == 0 {
					_, _ = strs.Get(ctx, "k", 1, nil)
				} else {
					_ = strs.MGet(ctx, "k", []int{1}, nil)
				}
			}
		})
	}
	for range 40 {
		_ = strs.Delete(ctx, "k", 1)
		got, err := strs.MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int]string, error) { return map[int]string{1: "v"}, nil })
		if got[1] != "v" || err != nil {
			t.Errorf("MGet: %v, %v", got, err)
		}
		_ = strs.Delete(ctx, "k", 1)
		if v, err := strs.Get(ctx, "k", 1, func(context.Context, int) (string, error) { return "v", nil }); v != "v" || err != nil {
			t.Errorf("T.Get: %q, %v", v, err)
		}
	}
	close(stop)
	wg.Wait()
}
