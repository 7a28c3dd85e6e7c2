package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// evict removes the fence of key, as Redis does under maxmemory-policy allkeys-lru.
func evict(t *testing.T, admin *redis.Client, key string) {
	t.Helper()
	fence, ok := remote.FenceKey(key)
	if !ok {
		t.Fatalf("%q has no fence", key)
	}
	if n, err := admin.Del(t.Context(), fence).Result(); err != nil || n != 1 {
		t.Fatalf("evicting %q: %d, %v", fence, n, err)
	}
}

// A load is under way when its key is changed. Then the fence is evicted, and another load makes a
// new one. The first load must not be stored.
func TestAnEvictedFenceRefuses(t *testing.T) {
	server := redistest.NewProcess(t)
	admin := server.Client()
	a := newCache(t, newClient(t, redis.Options{Addr: server.Addr()}), cache.WithSyncLocal(false))
	b := newCache(t, newClient(t, redis.Options{Addr: server.Addr()}), cache.WithSyncLocal(false))
	for name, change := range map[string]func(key string){
		"Delete": func(key string) { succeed(t, b.Delete(t.Context(), key)) },
		"Mutate": func(key string) {
			succeed(t, cache.Mutate(t.Context(), b, []string{key}, func(context.Context) error { return nil }))
		},
		"nothing": func(string) {}, // then it is of no harm to refuse
	} {
		for _, loads := range []bool{false, true} {
			key := fmt.Sprint(name, loads)
			var got string
			err := a.Once(t.Context(), key, cache.Value(&got), cache.Do(func(context.Context) (any, error) {
				change(key)
				evict(t, admin, key)
				if loads {
					once(t, b, key, "new")
				}
				return "old", nil
			}))
			succeed(t, err)
			if err := b.GetSkippingLocal(t.Context(), key, &got); err == nil && got == "old" {
				t.Errorf("%s: a load from before the change is stored (another load in between: %v)", name, loads)
			}
		}
	}
}

// A Redis that is too small evicts at random. What is read must not be older than the last change.
func TestARedisThatEvicts(t *testing.T) {
	const keys, rounds = 50, 15
	server := redistest.NewProcess(t, "--maxmemory-policy", "allkeys-random")
	admin := server.Client()
	a, b := newCache(t, newClient(t, redis.Options{Addr: server.Addr()})), newCache(t, newClient(t, redis.Options{Addr: server.Addr()}))
	info, err := admin.InfoMap(t.Context(), "memory").Result()
	succeed(t, err)
	filler := make([]byte, 4<<10)
	var used int
	_, err = fmt.Sscan(info["Memory"]["used_memory"], &used)
	succeed(t, err)
	succeed(t, admin.ConfigSet(t.Context(), "maxmemory", fmt.Sprint(used+2<<20)).Err())
	version := make([]int, keys)
	for range rounds {
		for range keys { // it keeps Redis full
			succeed(t, admin.Set(t.Context(), fmt.Sprint("filler:", rand.IntN(10_000)), filler, time.Minute).Err())
		}
		for i := range keys {
			key := fmt.Sprint("key:", i)
			load := cache.Do(func(context.Context) (any, error) { return version[i], nil })
			var got int
			switch rand.IntN(3) {
			case 0:
				version[i]++
				succeed(t, b.Delete(t.Context(), key))
			case 1:
				version[i]++
				succeed(t, b.Set(t.Context(), key, cache.Value(version[i]), cache.TTL(time.Minute)))
			}
			for _, c := range []cache.Cache{a, b} {
				succeed(t, c.Once(t.Context(), key, cache.Value(&got), load, cache.SkipLocal(true)))
				if got != version[i] {
					t.Fatalf("%s has version %d, read %d", key, version[i], got)
				}
			}
		}
	}
	stats, err := admin.InfoMap(t.Context(), "stats").Result()
	succeed(t, err)
	if evicted := stats["Stats"]["evicted_keys"]; evicted == "0" {
		t.Error("nothing was evicted")
	} else {
		t.Logf("%s keys were evicted", evicted)
	}
}
