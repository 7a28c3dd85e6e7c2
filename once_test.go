package cache_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

func TestWithoutALoaderAMissIsAMiss(t *testing.T) {
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

func TestACallerWithALoaderDoesNotTakeAMissFromOneWithout(t *testing.T) {
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

// A stampede in real time causes one load, for any order of the goroutines.
func TestAStampedeLoadsOnce(t *testing.T) {
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
