package cache_test

import (
	"context"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// BenchmarkMiss measures what the cache itself allocates for a read that loads, over a Remote in
// memory, with the ctx of a request, which can be cancelled.
func BenchmarkMiss(b *testing.B) {
	for _, mode := range []struct {
		name string
		opts []cache.Option
	}{
		{"plain", nil},
		{"fence", []cache.Option{cache.WithFence(time.Minute)}},
		{"fence+lease", []cache.Option{cache.WithFence(time.Minute), cache.WithLease(time.Minute)}},
	} {
		l := local.NewOtter(1000, time.Hour)
		c := cache.New(append([]cache.Option{cache.WithLocal(l), cache.WithRemote(remotetest.NewMemory()), cache.WithStatsDisabled(true)}, mode.opts...)...)
		users := cache.NewT[int, user](c)
		ctx, cancel := context.WithCancel(ctx)
		load := func(context.Context, int) (user, error) { return userOf(1), nil }
		loadMany := func(_ context.Context, ids []int) (map[int]user, error) {
			found := make(map[int]user, len(ids))
			for _, id := range ids {
				found[id] = userOf(id)
			}
			return found, nil
		}
		hundred := idsUpTo(100)
		for _, call := range []struct {
			name string
			ids  []int
			read func() error
		}{
			{"T.Get", hundred[:1], func() error { _, err := users.Get(ctx, "u", 1, load); return err }},
			{"Once", hundred[:1], func() error {
				var u user
				return c.Once(ctx, "u:1", cache.Value(&u), cache.Do(func(context.Context) (any, error) { return userOf(1), nil }))
			}},
			{"MGet of 1", hundred[:1], func() error { _, err := users.MGetWithErr(ctx, "u", hundred[:1], loadMany); return err }},
			{"MGet of 100", hundred, func() error { _, err := users.MGetWithErr(ctx, "u", hundred, loadMany); return err }},
		} {
			b.Run(call.name+"/"+mode.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					if err := users.MDelete(ctx, "u", call.ids); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					if err := call.read(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		cancel()
		c.Close()
		l.Close()
	}
}
