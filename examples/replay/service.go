package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/examples/internal/demoredis"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// instance is one service instance: a cache with a local level of its own.
type instance struct {
	prefix   string // of all keys
	client   *redis.Client
	local    *local.TinyLFU
	cache    cache.Cache
	entities *cache.T[string, Entity]
	counts   *stats.Stats
}

func newInstance(name, prefix string, server *demoredis.Server, size int, ttl time.Duration) *instance {
	// The replay prints the counts itself, at the end.
	counts := stats.NewStatsLogger(name, stats.WithStatsInterval(24*time.Hour)).(*stats.Stats)
	in := &instance{prefix: prefix, client: server.Client(), local: local.NewTinyLFU(size, ttl), counts: counts}
	adapter := remote.NewGoRedisV9Adapter(in.client).(*remote.GoRedisV9Adapter)
	in.cache = cache.New(
		cache.WithName(name),
		cache.WithLocal(in.local),
		cache.WithRemote(tracedRemote{adapter}),
		cache.WithStatsHandler(counts),
	)
	in.entities = cache.NewT[string, Entity](in.cache)
	return in
}

func (in *instance) close() {
	in.cache.Close()
	in.counts.Close()
	in.local.Close()
	_ = in.client.Close() // nothing was written through it since the replay ended
}

// trace notes where the answer to one read came from. A load has the ctx values of the
// caller that began it, so the notes reach the one whose read it was.
type trace struct {
	remote, loaded atomic.Bool
}

type traceKey struct{}

func mark(ctx context.Context, note func(*trace)) {
	if t, ok := ctx.Value(traceKey{}).(*trace); ok {
		note(t)
	}
}

// tracedRemote notes single reads that reach Redis.
type tracedRemote struct{ *remote.GoRedisV9Adapter }

func (r tracedRemote) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	mark(ctx, func(t *trace) { t.remote.Store(true) })
	return r.GoRedisV9Adapter.GetWithTTL(ctx, key)
}
