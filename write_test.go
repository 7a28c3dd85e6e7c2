package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

func TestWritesGoToTheRemoteFirst(t *testing.T) {
	n := both(t)
	_ = n.Set(ctx, "k", cache.Value("old"))
	n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
		if got := n.inLocal("k"); got != "old" {
			t.Errorf("during the remote's %s, local holds %q", op, got)
		}
		return nil
	})
	if err := n.Set(ctx, "k", cache.Value("new")); err != nil {
		t.Fatal(err)
	}
	n.remote.SetFault(nil)
	n.expectStored(t, "k", "new", "new")
}

func TestARefusedWriteChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		set := func(v string, opts ...cache.ItemOption) {
			t.Helper()
			if err := n.Set(ctx, "k", append(opts, cache.Value(v))...); err != nil {
				t.Fatal(err)
			}
		}
		set("refused", cache.SetXX(true))
		n.expectStored(t, "k", "-", "-")
		set("first", cache.SetNX(true))
		n.expectStored(t, "k", "first", "first")
		set("refused", cache.SetNX(true))
		n.expectStored(t, "k", "first", "first")
		set("second", cache.SetNX(true), cache.SetXX(true)) // XX wins
		n.expectStored(t, "k", "second", "second")
		if got := events.take(); got != "1:k 1:k" {
			t.Errorf("events %q", got)
		}
		// The caller gets the value of a load whose write-back the remote refuses.
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "get" {
				return errBoom
			}
			return nil
		})
		n.DeleteFromLocalCache("k")
		if s, err := onceString(n, "k", returns("loaded", nil), cache.SetNX(true)); s != "loaded" || err != nil {
			t.Errorf("Once: %q, %v", s, err)
		}
		n.expectStored(t, "k", "-", "second")
		if got := events.take(); got != "" {
			t.Errorf("events %q", got)
		}
	})
}

func TestConditionsHoldInALocalCache(t *testing.T) {
	n := onlyLocal(t)
	for _, step := range []struct {
		v    string
		opt  cache.ItemOption
		want string
	}{
		{"a", cache.SetXX(true), "-"}, {"b", cache.SetNX(true), "b"}, {"c", cache.SetNX(true), "b"}, {"d", cache.SetXX(true), "d"},
	} {
		if err := n.Set(ctx, "k", cache.Value(step.v), step.opt); err != nil || n.inLocal("k") != step.want {
			t.Errorf("after %q local holds %q, %v, want %q", step.v, n.inLocal("k"), err, step.want)
		}
	}
}

func TestConditionsHoldWhereTheRemoteIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		set := func(v string, opt cache.ItemOption) {
			if err := n.Set(ctx, "k", cache.Value(v), cache.TTL(-1), opt); err != nil {
				t.Error(err)
			}
		}
		set("refused", cache.SetXX(true))
		n.expectStored(t, "k", "-", "-")
		set("first", cache.SetNX(true))
		set("refused", cache.SetNX(true))
		n.expectStored(t, "k", "first", "-")
		if got := events.take(); got != "1:k" {
			t.Errorf("events %q", got)
		}
	})
}

func TestAConditionIsNotDecidedWithoutTheRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "setxx" {
				time.Sleep(time.Second)
			}
			return nil
		})
		go func() { _ = n.Set(ctx, "k", cache.Value("x"), cache.SetXX(true)) }() // delays all writes of the key, and is refused
		synctest.Wait()
		if s, err := onceString(n, "k", returns("loaded", nil), cache.SetXX(true)); s != "loaded" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		time.Sleep(2 * time.Second)
		n.expectStored(t, "k", "-", "-")
	})
}

func TestAFailedRemoteWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		_ = n.Set(ctx, "k", cache.Value("old"))
		events.take()
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		if err := n.Set(ctx, "k", cache.Value("new")); !errors.Is(err, errBoom) {
			t.Errorf("Set: %v", err)
		}
		n.expectStored(t, "k", "-", "old")
		if got := events.take(); got != "" {
			t.Errorf("events %q", got)
		}
		if err := n.Delete(ctx, "k"); !errors.Is(err, errBoom) {
			t.Errorf("Delete: %v", err)
		}
		// What a loader returns is given to the caller and kept in local.
		if s, err := onceString(n, "k", returns("loaded", nil)); s != "loaded" || err != nil {
			t.Errorf("Once: %q, %v", s, err)
		}
		n.expectStored(t, "k", "loaded", "old")
		got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "m", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
			return map[int]string{1: "one"}, nil
		})
		if got[1] != "one" || !errors.Is(err, errBoom) {
			t.Errorf("MGetWithErr: %v, %v", got, err)
		}
		n.expectStored(t, "m:1", "one", "-")
		n.expectStored(t, "m:2", "*", "-")
	})
}

func TestSetWithDoRemovesAValueThatMayBeOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		_ = n.Set(ctx, "k", cache.Value("old"))
		go func() {
			time.Sleep(time.Second)
			n.DeleteFromLocalCache("k")
		}()
		if err := n.Set(ctx, "k", returnsAfter(2*time.Second, "loaded", nil)); err != nil {
			t.Fatal(err)
		}
		n.expectStored(t, "k", "-", "-") // the next read loads

		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				if err := n.Set(ctx, "k", returnsAfter(2*time.Second, fmt.Sprint("loaded ", i), nil)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n.expectStored(t, "k", "-", "-")
	})
}

// Another change of the key happens while Do runs.
func TestSetWithDoThatAnotherChangeOvertook(t *testing.T) {
	invalidate := func(n *node) { n.DeleteFromLocalCache("k") }
	tests := []struct {
		name              string
		meanwhile         func(n *node)
		opts              []cache.ItemOption
		inLocal, inRemote string
	}{
		{"a refused Set", func(n *node) { _ = n.Set(ctx, "k", cache.Value("x"), cache.SetNX(true)) }, nil, "loaded", "loaded"},
		{"a failed Set", func(n *node) {
			n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
			_ = n.Set(ctx, "k", cache.Value("x"))
			n.remote.SetFault(nil)
		}, nil, "loaded", "loaded"},
		{"a Set", func(n *node) { _ = n.Set(ctx, "k", cache.Value("given")) }, nil, "given", "given"},
		{"a Delete", func(n *node) { _ = n.Delete(ctx, "k") }, nil, "-", "-"},
		{"an invalidation", invalidate, nil, "-", "-"},
		{"an invalidation, with NX", invalidate, []cache.ItemOption{cache.SetNX(true)}, "-", "old"},
		{"an invalidation, with XX", invalidate, []cache.ItemOption{cache.SetXX(true)}, "-", "old"},
		{"an invalidation, with a TTL below zero", invalidate, []cache.ItemOption{cache.TTL(-1)}, "-", "old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := both(t)
			_ = n.Set(ctx, "k", cache.Value("old"))
			err := n.Set(ctx, "k", append(tt.opts, cache.Do(func(context.Context) (any, error) {
				tt.meanwhile(n)
				return "loaded", nil
			}))...)
			if err != nil {
				t.Error(err)
			}
			n.expectStored(t, "k", tt.inLocal, tt.inRemote)
		})
	}
	t.Run("a Set that was under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := both(t)
			n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "set" {
					time.Sleep(time.Second)
				}
				return nil
			})
			go func() { _ = n.Set(ctx, "k", cache.Value("given")) }()
			synctest.Wait()
			if err := n.Set(ctx, "k", returns("loaded", nil)); err != nil {
				t.Error(err)
			}
			n.expectStored(t, "k", "given", "given")
		})
	})
}

func TestConcurrentSetsLeaveAValue(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...cache.Option) *node{"local": onlyLocal, "both": both} {
		n := open(t)
		for range 300 {
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					if err := n.Set(ctx, "k", cache.Value(fmt.Sprint(i))); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if _, ok := n.local.Get("k"); !ok {
				t.Fatalf("%s: after four Sets at a time, local holds nothing", name)
			}
			if n.remote != nil && n.inLocal("k") != n.inRemote("k") {
				t.Fatalf("local holds %q, the remote %q", n.inLocal("k"), n.inRemote("k"))
			}
		}
	}
}
