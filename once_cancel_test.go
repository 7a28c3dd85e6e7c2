package cache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

func TestCallersLeaveOnTheirOwnContext(t *testing.T) {
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

func TestALoadIsCancelledWhenNoCallerIsLeft(t *testing.T) {
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

// A loader that captured its caller's ctx fails when that ctx ends. The other callers load again and
// get a value.
func TestALoaderThatUsesItsCallersContextFailsThatCallerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		load := func(ctx context.Context) cache.ItemOption {
			return cache.Do(func(context.Context) (any, error) {
				select {
				case <-time.After(2 * time.Second):
					return "v", nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			})
		}
		go func() { _, _ = onceStringCtx(short, n, "k:1", load(short)) }()
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() {
			if s, err := onceString(n, "k:1", load(ctx)); s != "v" || err != nil {
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
