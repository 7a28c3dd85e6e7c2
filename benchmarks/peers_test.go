package benchmarks

import (
	"context"
	"testing"

	rediscache "github.com/go-redis/cache/v9"
	"github.com/viccon/sturdyc"
	"github.com/vmihailenco/msgpack/v5"
)

// How an entity is read from each of the peers that have it in the process.

func openOtter[V any](of func(id int64) V) opener[V] {
	return func(tb testing.TB, w workload) func(n int) (V, bool) {
		store := rawOtter[V](tb, 2*w.n)
		for _, id := range upTo(w.n) {
			store.Set(keyOf(id), of(id))
		}
		return func(n int) (V, bool) { return store.GetIfPresent(w.keys[n]) }
	}
}

// openOtterClone reads from otter and clones what it got.
func openOtterClone(tb testing.TB, w workload) func(n int) (entity, bool) {
	read := openOtter(entityOf)(tb, w)
	return func(n int) (entity, bool) {
		e, ok := read(n)
		return e.clone(), ok
	}
}

func openRistretto(tb testing.TB, w workload) func(n int) (entity, bool) {
	store := rawRistretto[entity](tb, 2*w.n)
	for _, id := range upTo(w.n) {
		for !store.SetWithTTL(keyOf(id), entityOf(id), 1, ttl) {
			store.Wait() // its queue is full
		}
	}
	store.Wait()
	return func(n int) (entity, bool) { return store.Get(w.keys[n]) }
}

// openFreecache reads bytes and decodes them.
func openFreecache(tb testing.TB, w workload) func(n int) (entity, bool) {
	store := rawFreecache(2 * w.n)
	for _, id := range upTo(w.n) {
		if err := store.Set([]byte(keyOf(id)), plain(tb, id), int(ttl.Seconds())); err != nil {
			tb.Fatal(err)
		}
	}
	return func(n int) (entity, bool) {
		data, err := store.Get([]byte(w.keys[n]))
		if err != nil {
			return entity{}, false
		}
		return decodePlain(data)
	}
}

// plain returns an entity in MessagePack and nothing around it.
func plain(tb testing.TB, id int64) []byte {
	data, err := msgpack.Marshal(entityOf(id))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func decodePlain(data []byte) (entity, bool) {
	var e entity
	err := msgpack.Unmarshal(data, &e)
	return e, err == nil
}

func openGoRedisCache(tb testing.TB, w workload) func(n int) (entity, bool) {
	c := rediscache.New(&rediscache.Options{LocalCache: rediscache.NewTinyLFU(2*w.n, ttl)})
	for _, id := range upTo(w.n) {
		if err := c.Set(&rediscache.Item{Ctx: ctx, Key: keyOf(id), Value: entityOf(id), TTL: ttl}); err != nil {
			tb.Fatal(err)
		}
	}
	load := func(*rediscache.Item) (any, error) { return nil, errUnexpected }
	return func(n int) (entity, bool) {
		var e entity
		err := c.Once(&rediscache.Item{Ctx: ctx, Key: w.keys[n], Value: &e, TTL: ttl, Do: load})
		return e, err == nil
	}
}

func openTheine(tb testing.TB, w workload) func(n int) (entity, bool) {
	store := rawTheine[entity](tb, 2*w.n)
	for _, id := range upTo(w.n) {
		store.SetWithTTL(keyOf(id), entityOf(id), 1, ttl)
	}
	store.Wait()
	return func(n int) (entity, bool) { return store.Get(w.keys[n]) }
}

func openLRU(tb testing.TB, w workload) func(n int) (entity, bool) {
	store := rawLRU[entity](tb, 2*w.n)
	for _, id := range upTo(w.n) {
		store.Add(keyOf(id), entityOf(id))
	}
	return func(n int) (entity, bool) { return store.Get(w.keys[n]) }
}

func openSturdyc(tb testing.TB, w workload) func(n int) (entity, bool) {
	c := newSturdyc(tb, 2*w.n)
	for _, id := range upTo(w.n) {
		c.Set(keyOf(id), entityOf(id))
	}
	fetch := func(context.Context) (entity, error) { return entity{}, errUnexpected }
	return func(n int) (entity, bool) {
		e, err := c.GetOrFetch(ctx, w.keys[n], fetch)
		return e, err == nil
	}
}

// newSturdyc returns a client with the number of shards and the share of evictions that
// sturdyc's documentation has. It is emptied with tb: its goroutine never ends, and would keep
// what it holds.
func newSturdyc(tb testing.TB, capacity int) *sturdyc.Client[entity] {
	c := sturdyc.New[entity](capacity, 10, ttl, 10)
	tb.Cleanup(func() {
		for _, key := range c.ScanKeys() {
			c.Delete(key)
		}
	})
	return c
}
