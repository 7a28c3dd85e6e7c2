package benchmarks

import (
	"bytes"
	"sync/atomic"
	"testing"

	rediscache "github.com/go-redis/cache/v9"

	cache "github.com/mgtv-tech/jetcache-go"
)

// A local write: bytes into a store, as a cache does once it has encoded a value.

// writer is one way to write bytes into a store for capacity entries.
type writer struct {
	name string
	open func(tb testing.TB, capacity int) writtenStore
}

type writtenStore struct {
	set func(key string, data []byte)
	get func(key string) ([]byte, bool)
}

var writers = []writer{
	{"raw_otter", func(tb testing.TB, capacity int) writtenStore {
		s := rawOtter[[]byte](tb, capacity)
		return writtenStore{set: func(key string, data []byte) { s.Set(key, data) }, get: s.GetIfPresent}
	}},
	{"Otter", writesOf(ourOtter)},
	{"raw_ristretto", func(tb testing.TB, capacity int) writtenStore {
		s := rawRistretto[[]byte](tb, capacity)
		return writtenStore{set: func(key string, data []byte) { s.SetWithTTL(key, data, 1, ttl) }, get: s.Get}
	}},
	{"raw_ristretto_Wait", func(tb testing.TB, capacity int) writtenStore {
		s := rawRistretto[[]byte](tb, capacity)
		set := func(key string, data []byte) {
			s.SetWithTTL(key, data, 1, ttl)
			s.Wait()
		}
		return writtenStore{set: set, get: s.Get}
	}},
	{"TinyLFU", writesOf(ourTinyLFU)},
	{"raw_freecache", func(_ testing.TB, capacity int) writtenStore {
		s := rawFreecache(capacity)
		set := func(key string, data []byte) {
			if err := s.Set([]byte(key), data, int(ttl.Seconds())); err != nil {
				panic(err)
			}
		}
		get := func(key string) ([]byte, bool) {
			data, err := s.Get([]byte(key))
			return data, err == nil
		}
		return writtenStore{set: set, get: get}
	}},
	{"FreeCache", writesOf(ourFreeCache)},
	{"theine", func(tb testing.TB, capacity int) writtenStore {
		s := rawTheine[[]byte](tb, capacity)
		return writtenStore{set: func(key string, data []byte) { s.SetWithTTL(key, data, 1, ttl) }, get: s.Get}
	}},
	{"hashicorp_LRU", func(tb testing.TB, capacity int) writtenStore {
		s := rawLRU[[]byte](tb, capacity)
		return writtenStore{set: func(key string, data []byte) { s.Add(key, data) }, get: s.Get}
	}},
	{"go-redis_cache_TinyLFU", func(_ testing.TB, capacity int) writtenStore {
		s := rediscache.NewTinyLFU(capacity, ttl)
		return writtenStore{set: s.Set, get: s.Get}
	}},
}

func writesOf(store storeOf) func(tb testing.TB, capacity int) writtenStore {
	return func(tb testing.TB, capacity int) writtenStore {
		s := store(tb, capacity)
		return writtenStore{set: s.Set, get: s.Get}
	}
}

// BenchmarkLocalWrite writes the keys that are read elsewhere: into a store that has room
// for all of them, where most writes replace an entry, and into one for a tenth, where most
// of the cold ones evict one.
func BenchmarkLocalWrite(b *testing.B) {
	for _, size := range []struct {
		name     string
		capacity int
	}{{"update", 2 * keyCount}, {"evict", keyCount / 10}} {
		b.Run(size.name, func(b *testing.B) {
			for _, w := range writers {
				b.Run(w.name, func(b *testing.B) {
					measureWrites(b, w.open(b, size.capacity).set)
				})
			}
		})
	}
}

func measureWrites(b *testing.B, set func(key string, data []byte)) {
	w, data := zipfWorkload(), make([]byte, 300)
	for _, key := range w.keys {
		set(key, data)
	}
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			set(w.keys[n&(drawCount-1)], data)
			n++
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		var goroutines atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			n := int(goroutines.Add(1)) * 104_729
			for pb.Next() {
				set(w.keys[n&(drawCount-1)], data)
				n++
			}
		})
	})
}

// BenchmarkLocalWriteEntity writes through the cache: encode, store.
func BenchmarkLocalWriteEntity(b *testing.B) {
	entities := make([]entity, 1024)
	for i := range entities {
		entities[i] = entityOf(int64(i) + 1)
	}
	b.Run("T.Set_Otter", func(b *testing.B) { measureEntityWrites(b, entities, ourOtter) })
	b.Run("T.Set_TinyLFU", func(b *testing.B) { measureEntityWrites(b, entities, ourTinyLFU) })
	b.Run("T.Set_FreeCache", func(b *testing.B) { measureEntityWrites(b, entities, ourFreeCache) })
	b.Run("go-redis_cache_Set", func(b *testing.B) {
		c := rediscache.New(&rediscache.Options{LocalCache: rediscache.NewTinyLFU(2*len(entities), ttl)})
		keys := keysOf(upTo(len(entities)))
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			i := n & (len(entities) - 1)
			if err := c.Set(&rediscache.Item{Ctx: ctx, Key: keys[i], Value: entities[i], TTL: ttl}); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
}

func measureEntityWrites(b *testing.B, entities []entity, store storeOf) {
	users := cache.NewT[int64, entity](newCache(b, cache.WithLocal(store(b, 2*len(entities)))))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		e := entities[n&(len(entities)-1)]
		if err := users.Set(ctx, keyPrefix, e.ID, e); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// Each writer, but for those that say otherwise, can read at once what it wrote.
func TestAWriteIsReadableAtOnce(t *testing.T) {
	late := map[string]bool{"raw_ristretto": true} // by design: its queue is emptied in the background
	for _, w := range writers {
		if late[w.name] {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			const n = 5000
			s := w.open(t, 2*n)
			for round := range 2 {
				for _, id := range upTo(n) {
					key, want := keyOf(id), []byte{byte(id), byte(id >> 8), byte(round)}
					s.set(key, want)
					if got, ok := s.get(key); !ok || !bytes.Equal(got, want) {
						t.Fatalf("round %d: %q is %v, %v right after it was set to %v", round, key, got, ok, want)
					}
				}
			}
			for _, id := range upTo(n) {
				if _, ok := s.get(keyOf(id)); !ok {
					t.Fatalf("%q was dropped, though there is room", keyOf(id))
				}
			}
		})
	}
}
