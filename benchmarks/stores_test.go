package benchmarks

import (
	"testing"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/coocood/freecache"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"

	"github.com/mgtv-tech/jetcache-go/local"
)

// The raw stores, each made as its documentation shows, for capacity entries with ttl.

func rawOtter[V any](tb testing.TB, capacity int) *otter.Cache[string, V] {
	c := otter.Must(&otter.Options[string, V]{
		MaximumSize:      capacity,
		ExpiryCalculator: otter.ExpiryWriting[string, V](ttl),
	})
	tb.Cleanup(func() {
		c.StopAllGoroutines()
		c.InvalidateAll()
	})
	return c
}

func rawRistretto[V any](tb testing.TB, capacity int) *ristretto.Cache[string, V] {
	c, err := ristretto.NewCache(&ristretto.Config[string, V]{
		NumCounters: 10 * int64(capacity),
		MaxCost:     int64(capacity),
		BufferItems: 64,
		// Otherwise each entry costs 56 more than it is given, and MaxCost is no number of
		// entries.
		IgnoreInternalCost: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func rawTheine[V any](tb testing.TB, capacity int) *theine.Cache[string, V] {
	c, err := theine.NewBuilder[string, V](int64(capacity)).Build()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// rawLRU is emptied with tb: its goroutine never ends, and would keep what it holds.
func rawLRU[V any](tb testing.TB, capacity int) *expirable.LRU[string, V] {
	c := expirable.NewLRU[string, V](capacity, nil, ttl)
	tb.Cleanup(c.Purge)
	return c
}

// arenaFor returns about how many bytes an arena needs for capacity encoded entities. A small
// one would hold too few in each of its 256 segments to be even.
func arenaFor(capacity int) int { return max(400*capacity, 8<<20) }

func rawFreecache(capacity int) *freecache.Cache { return freecache.NewCache(arenaFor(capacity)) }

// Ours, each closed with tb.

func ourOtter(tb testing.TB, capacity int) local.Local {
	return closedWith(tb, newOtter(capacity, ttl))
}

func ourTinyLFU(tb testing.TB, capacity int) local.Local {
	return closedWith(tb, local.NewTinyLFU(capacity, ttl))
}

func ourFreeCache(_ testing.TB, capacity int) local.Local {
	return local.NewArena(local.Size(arenaFor(capacity))).NewFreeCache(ttl)
}

func closedWith(tb testing.TB, s closingLocal) local.Local {
	tb.Cleanup(s.Close)
	return s
}

// forgetful returns a store that keeps nothing.
func forgetful(testing.TB, int) local.Local { return forgetfulLocal{} }

// forgetfulLocal is a local store that keeps nothing.
type forgetfulLocal struct{}

func (forgetfulLocal) Set(string, []byte)                       {}
func (forgetfulLocal) SetWithTTL(string, []byte, time.Duration) {}
func (forgetfulLocal) Get(string) (data []byte, ok bool)        { return nil, false }
func (forgetfulLocal) Del(string)                               {}
