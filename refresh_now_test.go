package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestRefreshNow(t *testing.T) {
	n := both(t, cache.WithRefreshDuration(time.Hour))
	load := &counter{}
	_, _ = onceString(n, "k:1", load.do(), cache.Refresh(true))
	if err := cache.RefreshNow(ctx, n.Cache, "k:1"); err != nil || n.inLocal("k:1") != "2" || n.inRemote("k:1") != "2" {
		t.Errorf("%v; local %q, remote %q", err, n.inLocal("k:1"), n.inRemote("k:1"))
	}
	if err := cache.NewT[int, string](n).RefreshNow(ctx, "k", 1); err != nil || n.inLocal("k:1") != "3" { // n wraps the cache
		t.Errorf("through a wrapper: %v, local %q", err, n.inLocal("k:1"))
	}
	load.become(0, errBoom)
	if err := cache.RefreshNow(ctx, n.Cache, "k:1"); !errors.Is(err, errBoom) || n.inLocal("k:1") != "3" {
		t.Errorf("a failing loader: %v, local %q", err, n.inLocal("k:1"))
	}
	load.become(0, cache.ErrNotFound)
	if err := cache.RefreshNow(ctx, n.Cache, "k:1"); err != nil || n.inLocal("k:1") != "*" {
		t.Errorf("a record that is gone: %v, local %q", err, n.inLocal("k:1"))
	}
	for name, err := range map[string]error{
		"another key":     cache.RefreshNow(ctx, n.Cache, "other"),
		"no refreshing":   cache.RefreshNow(ctx, both(t).Cache, "k:1"),
		"another's cache": cache.RefreshNow(ctx, &mockCache{}, "k:1"),
	} {
		if !errors.Is(err, cache.ErrNoRefreshTask) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := cache.RefreshNow(ctx, n.Cache, ""); !errors.Is(err, cache.ErrInvalidKey) {
		t.Errorf("an empty key: %v", err)
	}
}

func TestRefreshNowOutlivesAnothersCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := &counter{}
		n := fleetNode(t, remotetest.NewMemory(), load.do())
		n.local.Del("k")
		_, _ = n.remote.Del(ctx, "k")
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		go func() {
			_, _ = onceStringCtx(short, n, "k", cache.Do(func(context.Context) (any, error) {
				<-short.Done() // uses its caller's ctx
				return nil, short.Err()
			}))
		}()
		synctest.Wait()
		if err := cache.RefreshNow(ctx, n.Cache, "k"); err != nil || n.inLocal("k") != "2" {
			t.Errorf("%v, local holds %q", err, n.inLocal("k"))
		}
	})
}

func TestRefreshNowEndsWithItsContextAndWithDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := &counter{}
		n := fleetNode(t, remotetest.NewMemory(), load.do())
		load.become(time.Hour, nil)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := cache.RefreshNow(short, n.Cache, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a ctx that ends: %v", err)
		}
		load.become(2*time.Second, nil)
		done := make(chan error, 1)
		go func() { done <- cache.RefreshNow(ctx, n.Cache, "k") }()
		time.Sleep(time.Second)
		if err := n.Delete(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("overtaken by a Delete: %v", err)
		}
		n.expectStored(t, "k", "-", "-")
		n.Close()
		if err := cache.RefreshNow(ctx, n.Cache, "k"); !errors.Is(err, cache.ErrNoRefreshTask) {
			t.Errorf("after Close: %v", err)
		}
	})
}
