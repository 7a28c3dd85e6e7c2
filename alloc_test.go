package cache_test

import (
	"context"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/racing"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// Ceilings for a hit in the local level, beyond what decoding itself allocates.
func TestAllocationsOfALocalHit(t *testing.T) {
	if racing.Enabled {
		t.Skip("skipped: the race detector allocates")
	}
	n := both(t)
	strs := cache.NewT[int, string](n.Cache)
	users := cache.NewT[int, user](n.Cache)
	_ = n.Set(ctx, "k:1", cache.Value("a value"))
	_ = users.Set(ctx, "u", 1, user{ID: 1})
	var s string
	load := cache.Do(func(context.Context) (any, error) { return "", nil })
	loadString := func(context.Context, int) (string, error) { return "", nil }
	loadUser := func(context.Context, int) (user, error) { return user{}, nil }
	for name, tt := range map[string]struct {
		call    func()
		ceiling float64
	}{
		"Once of a string":  {func() { _ = n.Once(ctx, "k:1", cache.Value(&s), load) }, 2}, // options, text
		"T.Get of a string": {func() { _, _ = strs.Get(ctx, "k", 1, loadString) }, 5},      // key, loader, options, destination, text
		"T.Get of a struct": {func() { _, _ = users.Get(ctx, "u", 1, loadUser) }, 10},      // the same, and the decoder
		"Get of a string":   {func() { _ = n.Get(ctx, "k:1", &s) }, 1},                     // text
		"Exists":            {func() { n.Exists(ctx, "k:1") }, 0},                          //
		"T.MGet of one":     {func() { _ = strs.MGet(ctx, "k", []int{1}, nil) }, 16},       // maps and slices of one
	} {
		if got := testing.AllocsPerRun(1000, tt.call); got > tt.ceiling {
			t.Errorf("%s: %v allocations, at most %v", name, got, tt.ceiling)
		}
	}
}

func TestAllocationsOfALocalHitOfACoherentCache(t *testing.T) {
	if racing.Enabled {
		t.Skip("skipped: the race detector allocates")
	}
	n := both(t, cache.WithSyncLocal(true), cache.WithSyncBus(remotetest.NewBus()), cache.WithFence(time.Second), cache.WithLease(time.Second))
	users := cache.NewT[int, id](n.Cache)
	_ = users.Set(ctx, "u", 1, id{1})
	_, _ = users.Get(ctx, "u", 1, nil) // which keeps the value
	for name, call := range map[string]func(){
		"Exists": func() { n.Exists(ctx, "u:1") },
		"T.Get":  func() { _, _ = users.Get(ctx, "u", 1, nil) },
	} {
		if got := testing.AllocsPerRun(1000, call); got > 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// id is a type whose values are kept as they are.
type id struct{ N int }

func BenchmarkLocalHit(b *testing.B) {
	n := both(b)
	n.counts = nil
	c := cache.New(cache.WithLocal(n.local), cache.WithRemote(n.remote), cache.WithStatsDisabled(true))
	defer c.Close()
	users := cache.NewT[int, user](c)
	_ = users.Set(ctx, "u", 1, userOf(1))
	load := func(context.Context, int) (user, error) { return user{}, nil }
	b.Run("T.Get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = users.Get(ctx, "u", 1, load)
		}
	})
	b.Run("Once", func(b *testing.B) {
		b.ReportAllocs()
		var u user
		for b.Loop() {
			_ = c.Once(ctx, "u:1", cache.Value(&u))
		}
	})
	b.Run("Once parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			var u user
			for pb.Next() {
				_ = c.Once(ctx, "u:1", cache.Value(&u))
			}
		})
	})
}

func BenchmarkMGet100(b *testing.B) {
	n := both(b)
	c := cache.New(cache.WithLocal(n.local), cache.WithRemote(n.remote), cache.WithStatsDisabled(true))
	defer c.Close()
	users := cache.NewT[int, user](c)
	ids := make([]int, 100)
	for i := range ids {
		ids[i] = i
	}
	load := func(_ context.Context, ids []int) (map[int]user, error) {
		found := make(map[int]user, len(ids))
		for _, id := range ids {
			found[id] = userOf(id)
		}
		return found, nil
	}
	b.Run("local", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = users.MGet(ctx, "u", ids, load)
		}
	})
	b.Run("missing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			for _, id := range ids {
				_ = users.Delete(ctx, "u", id)
			}
			b.StartTimer()
			_ = users.MGet(ctx, "u", ids, load)
		}
	})
}
