package faults

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// When Redis hangs, a call of the cache waits for about as long as one call of the client, whatever
// options the cache has.
func TestHowLongCallsWaitForARedisThatHangs(t *testing.T) {
	t.Parallel()
	const lease = 500 * time.Millisecond
	server := redistest.NewProcess(t)
	caches := map[string]cache.Cache{}
	client := func() *redis.Client { return newClient(t, impatient(server)) }
	unfenced := []cache.Option{cache.WithSyncLocal(false)}
	for name, opts := range map[string][]cache.Option{
		"fence": unfenced, "fence and lease": append(unfenced, cache.WithLease(lease)),
		"link and fence": nil, "link, fence and lease": {cache.WithLease(lease)},
	} {
		caches[name] = newCache(t, client(), append(opts, cache.WithName(t.Name()+name))...)
	}
	for _, c := range caches {
		succeed(t, c.Set(t.Context(), "warm up", cache.Value("v")))
		_ = once(t, c, "loaded", "v")
	}
	alone := client()
	succeed(t, alone.Ping(t.Context()).Err())
	server.Pause()
	defer server.Resume()
	began := time.Now()
	if err := alone.Get(t.Context(), "k").Err(); err == nil {
		t.Fatal("Redis answers")
	}
	limit := time.Duration(float64(time.Since(began))*usual.calls) + usual.slack

	calls := map[string]func(ctx context.Context, c cache.Cache, n int){
		"miss": func(_ context.Context, c cache.Cache, n int) {
			if got := once(t, c, fmt.Sprint("miss ", n), "v"); got != "v" {
				t.Errorf("reads %q", got)
			}
		},
		"batch": func(ctx context.Context, c cache.Cache, n int) {
			rows := cache.NewT[int, string](c)
			if got, err := rows.MGetWithErr(ctx, "batch", []int{n, n + 1}, loader("v")); got[n] != "v" || got[n+1] != "v" {
				t.Errorf("reads %v, %v", got, err)
			}
		},
		"Set": func(ctx context.Context, c cache.Cache, n int) {
			if c.Set(ctx, fmt.Sprint("set ", n), cache.Value("v")) == nil {
				t.Error("Set returns no error")
			}
		},
		"Delete": func(ctx context.Context, c cache.Cache, n int) {
			if c.Delete(ctx, fmt.Sprint("delete ", n)) == nil {
				t.Error("Delete returns no error")
			}
		},
	}
	var wg sync.WaitGroup // each call of each cache, all at the same time
	for options, c := range caches {
		for name, call := range calls {
			wg.Go(func() {
				began := time.Now()
				call(t.Context(), c, 10)
				if took := time.Since(began); took > limit {
					t.Errorf("%s with %s waits for %s, and may wait for %s", name, options, took.Round(time.Millisecond), limit.Round(time.Millisecond))
				}
			})
		}
	}
	wg.Wait()
}
