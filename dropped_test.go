package cache_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// Caches that are dropped without Close leave no goroutine: neither their default statistics, nor
// a refresh task whose loader refers to the cache, nor a link.
func TestDroppedCachesLeaveNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	func() {
		for range 200 {
			l := local.NewOtter(100, time.Hour)
			c := cache.New(
				cache.WithLocal(l), cache.WithRemote(remotetest.NewMemory()), cache.WithRefreshDuration(time.Hour),
				cache.WithSyncLocal(true), cache.WithSyncBus(remotetest.NewBus()), cache.WithFence(time.Second), cache.WithLease(time.Second),
			)
			err := c.Once(ctx, "k", cache.Refresh(true), cache.Do(func(context.Context) (any, error) { return c.CacheType(), nil }))
			if err != nil {
				t.Fatal(err)
			}
		}
	}()
	deadline := time.Now().Add(20 * time.Second)
	for runtime.NumGoroutine() > before+2 && time.Now().Before(deadline) {
		runtime.GC()
		time.Sleep(50 * time.Millisecond)
	}
	if left := runtime.NumGoroutine() - before; left > 2 {
		t.Errorf("%d goroutines are left of 200 caches", left)
	}
}
