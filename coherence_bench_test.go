package cache_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// BenchmarkPropagation measures how long after Set has returned another node still serves the old
// value from its local level: p50, p99 and the longest, in microseconds. Zero is: not at all.
func BenchmarkPropagation(b *testing.B) {
	servers := map[string]func(b *testing.B) func() redis.UniversalClient{
		"single": func(b *testing.B) func() redis.UniversalClient {
			p := redistest.NewProcess(b)
			return func() redis.UniversalClient { return p.Client() }
		},
		"cluster": func(b *testing.B) func() redis.UniversalClient {
			c := redistest.NewCluster(b)
			return func() redis.UniversalClient { return c.Client() }
		},
	}
	modes := map[string][]cache.Option{
		"link":       {cache.WithSyncLocal(true)},
		"link+fence": {cache.WithSyncLocal(true), cache.WithFence(time.Second)},
		"tracking":   {cache.WithTracking()},
	}
	for _, server := range []string{"single", "cluster"} {
		client := servers[server](b)
		for _, mode := range []string{"link", "link+fence", "tracking"} {
			b.Run(server+"/"+mode, func(b *testing.B) {
				opts := append(slices.Clone(modes[mode]), cache.WithName(b.Name()))
				writer, reader := newRedisNode(b, client(), opts...), newRedisNode(b, client(), opts...)
				var delays []time.Duration
				for i := 0; b.Loop(); i++ {
					key := fmt.Sprint("k", i%100)
					_ = reader.Get(ctx, key, nil) // fills local, from the second round on
					if err := writer.Set(ctx, key, cache.Value(fmt.Sprint(i))); err != nil {
						b.Fatal(err)
					}
					returned := time.Now()
					for reader.has(key) {
						runtime.Gosched()
					}
					delays = append(delays, time.Since(returned))
				}
				slices.Sort(delays)
				for name, i := range map[string]int{"p50": len(delays) / 2, "p99": len(delays) * 99 / 100, "max": len(delays) - 1} {
					b.ReportMetric(float64(delays[i].Nanoseconds())/1e3, name+"-µs")
				}
			})
		}
	}
}

// roundTrips counts what a client sends, a pipeline as one.
type roundTrips struct{ n atomic.Int64 }

func (r *roundTrips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.n.Add(1)
		return next(ctx, cmd)
	}
}

func (r *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.n.Add(1)
		return next(ctx, cmds)
	}
}

// BenchmarkCoherenceCost measures what each option adds to a miss that loads, to a Set, a Delete
// and a hit in each level: time, and round trips as the caller waits for them.
func BenchmarkCoherenceCost(b *testing.B) {
	options := []struct {
		name string
		opts []cache.Option
	}{
		{"none", nil},
		{"link", []cache.Option{cache.WithSyncLocal(true), cache.WithSyncHeartbeat(time.Hour)}},
		{"tracking", []cache.Option{cache.WithTracking()}},
		{"fence", []cache.Option{cache.WithFence(time.Second)}},
		{"lease", []cache.Option{cache.WithLease(time.Second)}},
		{"link+fence+lease", []cache.Option{cache.WithSyncLocal(true), cache.WithSyncHeartbeat(time.Hour), cache.WithFence(time.Second), cache.WithLease(time.Second)}},
	}
	load := cache.Do(func(context.Context) (any, error) { return "value", nil })
	actions := []struct {
		name string
		// do acts on key, which the remote has, and local too, unless the action has made it so.
		do func(n redisNode, key string) error
		// before brings that about, and is not measured.
		before func(n redisNode, key string) error
	}{
		{"miss", func(n redisNode, key string) error { return n.Once(ctx, key, load) }, func(n redisNode, key string) error { return n.Delete(ctx, key) }},
		{"Set", func(n redisNode, key string) error { return n.Set(ctx, key, cache.Value("value")) }, nil},
		{"Delete", func(n redisNode, key string) error { return n.Delete(ctx, key) }, nil},
		{"remoteHit", func(n redisNode, key string) error { return n.Get(ctx, key, nil) }, func(n redisNode, key string) error { n.local.Del(key); return nil }},
		{"localHit", func(n redisNode, key string) error { return n.Get(ctx, key, nil) }, nil},
	}
	server := redistest.NewProcess(b)
	for _, action := range actions {
		for _, o := range options {
			b.Run(action.name+"/"+o.name, func(b *testing.B) {
				b.ReportAllocs()
				client := redis.NewClient(&redis.Options{Addr: server.Addr()})
				defer client.Close()
				var trips roundTrips
				client.AddHook(&trips)
				n := redisNode{local: local.NewOtter(1000, time.Hour)}
				n.Cache = cache.New(append([]cache.Option{
					cache.WithLocal(n.local), cache.WithRemote(remote.NewGoRedisV9Adapter(client)),
					cache.WithStatsDisabled(true), cache.WithName(b.Name()),
				}, o.opts...)...)
				defer n.local.Close()
				defer n.Close()
				if err := n.Set(ctx, "k", cache.Value("value")); err != nil {
					b.Fatal(err)
				}
				var all int64
				var spent time.Duration
				rounds := 0
				for b.Loop() {
					if action.before != nil {
						if err := action.before(n, "k"); err != nil {
							b.Fatal(err)
						}
					}
					before, began := trips.n.Load(), time.Now()
					if err := action.do(n, "k"); err != nil {
						b.Fatal(err)
					}
					spent += time.Since(began)
					all += trips.n.Load() - before
					rounds++
				}
				b.ReportMetric(float64(all)/float64(rounds), "trips/op")
				b.ReportMetric(float64(spent.Nanoseconds())/float64(rounds)/1e3, "µs/op")
			})
		}
	}
}
