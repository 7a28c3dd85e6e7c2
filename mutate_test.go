package cache_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestWhatMutateCoversIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		for _, n := range []*node{one, two} {
			_ = n.Set(ctx, "k", cache.Value("old"))
		}
		_ = one.Set(ctx, "l", cache.Value("other"))
		err := cache.Mutate(ctx, one.Cache, []string{"k"}, func(ctx context.Context) error {
			one.expectStored(t, "k", "-", "-")
			one.expectStored(t, "l", "other", "other")
			if end, ok := ctx.Deadline(); !ok || time.Until(end) != maxLoad {
				t.Errorf("the deadline is %s, %v", end, ok)
			}
			for _, n := range []*node{one, two} {
				n.DeleteFromLocalCache("k")
				if s, err := onceString(n, "k", returns("old", nil)); s != "old" || err != nil {
					t.Errorf("a load gives %q, %v", s, err)
				}
				n.expectStored(t, "k", "-", "-")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := onceString(two, "k", returns("new", nil)); s != "new" || err != nil {
			t.Errorf("afterwards a load gives %q, %v", s, err)
		}
		two.expectStored(t, "k", "new", "new")
	})
}

func TestAMutationWhoseProcessDiesLeavesNothingStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		_ = one.Set(ctx, "k", cache.Value("old"))
		err := cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error {
			// From here on the remote hears nothing of this node.
			one.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "reopenFences" || op == "delFenced" {
					return errBoom
				}
				return nil
			})
			return nil
		})
		if !errors.Is(err, errBoom) {
			t.Errorf("Mutate: %v", err)
		}
		pass(maxLoad)
		_, _ = onceString(two, "k", returns("new", nil))
		two.expectStored(t, "k", "-", "-")
		pass(maxLoad + time.Second)
		_, _ = onceString(two, "k", returns("new", nil))
		two.expectStored(t, "k", "new", "new")
	})
}

func TestMutationsThatOverlapKeepTheFenceClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		err := cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error {
			return cache.Mutate(ctx, two.Cache, []string{"k"}, func(context.Context) error { return nil })
		})
		if err != nil {
			t.Fatal(err)
		}
		err = cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error {
			if err := cache.Mutate(ctx, two.Cache, []string{"k"}, func(context.Context) error { return nil }); err != nil {
				return err
			}
			_ = two.Delete(ctx, "k")
			_, err := onceString(two, "k", returns("old", nil))
			two.expectStored(t, "k", "-", "-")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = onceString(two, "k", returns("new", nil))
		two.expectStored(t, "k", "new", "new")
	})
}

func TestMutateReportsWhatGoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := fencedPair(t)
		if err := cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error { return errBoom }); !errors.Is(err, errBoom) {
			t.Errorf("the error of the function: %v", err)
		}
		called := false
		call := func(context.Context) error { called = true; return nil }
		if err := cache.Mutate(ctx, one.Cache, []string{"k", ""}, call); !errors.Is(err, cache.ErrInvalidKey) || called {
			t.Errorf("an empty key: %v, %v", err, called)
		}
		if text := panicText(func() { _ = cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error { panic("oh") }) }); text != "oh" {
			t.Errorf("a panic arrives as %q", text)
		}
		_, _ = onceString(one, "k", returns("v", nil))
		one.expectStored(t, "k", "v", "v")
		one.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		if err := cache.Mutate(ctx, one.Cache, []string{"k"}, call); !errors.Is(err, cache.ErrNotFenced) || !errors.Is(err, errBoom) || called {
			t.Errorf("a remote that fails: %v, %v", err, called)
		}
		one.remote.SetFault(nil)
		// T, wrappers, and caches without fences or a remote.
		if err := stringsOf(one).Mutate(ctx, "k", []string{"1"}, call); err != nil || !called {
			t.Errorf("T.Mutate: %v, %v", err, called)
		}
		for _, n := range []*node{both(t), onlyLocal(t), onlyRemote(t)} {
			called = false
			_ = n.Set(ctx, "k", cache.Value("v"))
			if err := cache.Mutate(ctx, n, []string{"k"}, call); err != nil || !called || n.Exists(ctx, "k") {
				t.Errorf("%s: %v, %v", n.CacheType(), err, called)
			}
		}
	})
}

// Mutate does not call its function if a key could not be fenced, also if the other nodes could not
// be told of the rest.
func TestMutateCallsNothingIfAKeyCannotBeFenced(t *testing.T) {
	bus := remotetest.NewBus()
	n := &node{local: stores["Otter"](t), remote: remotetest.NewMemory(), counts: &recStats{}}
	n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithRemote(n.remote), cache.WithSyncLocal(true), cache.WithSyncBus(bus), cache.WithFence(time.Second)})
	n.remote.SetFault(func(_ context.Context, op string, keys ...string) error {
		if strings.Contains(strings.Join(keys, " "), "bad") {
			return errBoom
		}
		return nil
	})
	bus.Fail(errBoom)
	called := false
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := cache.Mutate(ctx, n.Cache, []string{"bad", "good"}, func(context.Context) error { called = true; return nil })
	if called || !errors.Is(err, cache.ErrNotFenced) {
		t.Errorf("called: %t, %v", called, err)
	}
}

// A server that evicts keys may evict a closed fence. Then a load can store what it read before the
// change. Mutate removes that again, and says so.
func TestMutateReportsAFenceThatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := fencedPair(t)
		evict := func() { _, _ = one.remote.Del(ctx, "{k}#f") }
		err := cache.Mutate(ctx, one.Cache, []string{"k", "kept"}, func(context.Context) error {
			evict()
			_, _ = onceString(other, "k", returns("stale", nil))
			return nil
		})
		if !errors.Is(err, cache.ErrFenceLost) || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("the error is %v", err)
		}
		if _, ok := one.remote.Peek("k"); ok {
			t.Error("the stale value is still in the remote")
		}
		if state := cache.SyncStateOf(one); state.Repairs != 0 {
			t.Errorf("%d keys wait for their removal", state.Repairs)
		}
		if err := cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error { return nil }); err != nil {
			t.Errorf("a Mutate whose fence was kept: %v", err)
		}
	})
}
