package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	cache "github.com/mgtv-tech/jetcache-go"
)

func TestLoadingAKeyInsideItsOwnLoaderIsAnError(t *testing.T) {
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

func TestALoaderThatWaitsForItselfThroughAnotherLoaderIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		strs := cache.NewT[string, string](n.Cache)
		_, err := onceString(n, "k:a", cache.Do(func(context.Context) (any, error) {
			// All with a ctx that is not the loader's.
			got, err := strs.MGetWithErr(ctx, "k", []string{"b"}, func(context.Context, []string) (map[string]string, error) {
				s, err := onceString(n, "k:a", returns("v", nil))
				return map[string]string{"b": s}, err
			})
			return got["b"], err
		}))
		if !errors.Is(err, cache.ErrLoaderCycle) {
			t.Errorf("over a batch: %v", err)
		}
		_, err = onceString(n, "k", cache.Do(func(ctx context.Context) (any, error) {
			if err := n.Set(ctx, "other", returns("v", nil)); err != nil {
				return nil, err
			}
			return onceString(n, "k", returns("v", nil))
		}))
		if !errors.Is(err, cache.ErrLoaderCycle) {
			t.Errorf("after another loader: %v", err)
		}
	})
}
