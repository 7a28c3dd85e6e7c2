package benchmarks

import (
	"context"
	"errors"
	"testing"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
)

// A local hit: everything that is asked for is in the process.

func BenchmarkLocalHit(b *testing.B) { measureReads(b, entityReaders) }

func TestLocalHit(t *testing.T) { checkReaders(t, entityReaders, entityOf, entity.same) }

var entityReaders = []reader[entity]{
	{"raw_otter", openOtter(entityOf)},
	{"T.Get_Otter", openT(ourOtter, shared)},
	{"T.Get_Otter_no_stats", openT(ourOtter, shared, noStats)},
	{"raw_otter_clone", openOtterClone},
	{"T.Get_Otter_clone", openT(ourOtter, cloned)},
	{"raw_ristretto", openRistretto},
	{"T.Get_TinyLFU", openT(ourTinyLFU, shared)},
	{"raw_freecache_msgpack", openFreecache},
	{"T.Get_FreeCache", openT(ourFreeCache, shared)},
	{"Once_FreeCache", openOnce(ourFreeCache)},
	{"Once_Otter", openOnce(ourOtter)},
	{"Once_TinyLFU", openOnce(ourTinyLFU)},
	{"go-redis_cache_Once", openGoRedisCache},
	{"theine", openTheine},
	{"hashicorp_LRU", openLRU},
	{"sturdyc_GetOrFetch", openSturdyc},
}

// BenchmarkLocalHitString is the same for a type that nobody can change: T shares it without
// being told to.
func BenchmarkLocalHitString(b *testing.B) { measureReads(b, stringReaders) }

func TestLocalHitString(t *testing.T) {
	checkReaders(t, stringReaders, textOf, func(a, b string) bool { return a == b })
}

var stringReaders = []reader[string]{
	{"raw_otter", openOtter(textOf)},
	{"T.Get_Otter", openStringT(ourOtter)},
	{"T.Get_TinyLFU", openStringT(ourTinyLFU)},
	{"T.Get_FreeCache", openStringT(ourFreeCache)},
}

// textOf is a value without a structure.
func textOf(id int64) string { return "the text that belongs to " + keyOf(id) }

func noStats() cache.Option { return cache.WithStatsDisabled(true) }

// errUnexpected is what loaders return where everything is at hand.
var errUnexpected = errors.New("benchmarks: a loader was called for what should have been there")

func noEntity(context.Context, int64) (entity, error) { return entity{}, errUnexpected }

func noString(context.Context, int64) (string, error) { return "", errUnexpected }

// newCache returns a cache that is closed with tb.
func newCache(tb testing.TB, opts ...cache.Option) cache.Cache {
	c := cache.New(opts...)
	tb.Cleanup(c.Close)
	return c
}

// storeOf makes one of our stores for a number of entries.
type storeOf = func(tb testing.TB, capacity int) local.Local

// openT reads by T.Get. Stores are twice as large as what they hold, so that none refuses
// or evicts anything.
func openT(store storeOf, opts ...func() cache.Option) opener[entity] {
	return func(tb testing.TB, w workload) func(n int) (entity, bool) {
		all := []cache.Option{cache.WithLocal(store(tb, 2*w.n))}
		for _, opt := range opts {
			all = append(all, opt())
		}
		users := cache.NewT[int64, entity](newCache(tb, all...))
		for _, id := range upTo(w.n) {
			if err := users.Set(ctx, keyPrefix, id, entityOf(id)); err != nil {
				tb.Fatal(err)
			}
		}
		return func(n int) (entity, bool) {
			e, err := users.Get(ctx, keyPrefix, w.ids[n], noEntity)
			return e, err == nil
		}
	}
}

func openStringT(store storeOf) opener[string] {
	return func(tb testing.TB, w workload) func(n int) (string, bool) {
		texts := cache.NewT[int64, string](newCache(tb, cache.WithLocal(store(tb, 2*w.n))))
		for _, id := range upTo(w.n) {
			if err := texts.Set(ctx, keyPrefix, id, textOf(id)); err != nil {
				tb.Fatal(err)
			}
		}
		return func(n int) (string, bool) {
			s, err := texts.Get(ctx, keyPrefix, w.ids[n], noString)
			return s, err == nil
		}
	}
}

// openOnce reads by Once, with keys that are at hand, as for the raw stores.
func openOnce(store storeOf) opener[entity] {
	return func(tb testing.TB, w workload) func(n int) (entity, bool) {
		c := newCache(tb, cache.WithLocal(store(tb, 2*w.n)))
		for _, id := range upTo(w.n) {
			if err := c.Set(ctx, keyOf(id), cache.Value(entityOf(id))); err != nil {
				tb.Fatal(err)
			}
		}
		load := func(context.Context) (any, error) { return nil, errUnexpected }
		return func(n int) (entity, bool) {
			var e entity
			err := c.Once(ctx, w.keys[n], cache.Value(&e), cache.Do(load))
			return e, err == nil
		}
	}
}
