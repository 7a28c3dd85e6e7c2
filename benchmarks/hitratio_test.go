package benchmarks

import (
	"fmt"
	"sync"
	"testing"

	"github.com/mgtv-tech/jetcache-go/local"
)

// How often each store has what a recorded program asked for.

// simulated is a store with room for capacity entries: for each access, get, and on a miss
// set.
type simulated struct {
	name string
	open func(tb testing.TB, capacity int) (get func(key string) bool, set func(key string))
}

// something is what is stored; nobody looks at it.
var something = []byte{1}

var simulations = []simulated{
	{"Otter", simulates(ourOtter)},
	{"TinyLFU", simulates(ourTinyLFU)},
	{"FreeCache", simulatesFreeCache},
	{"raw_otter", func(tb testing.TB, capacity int) (func(string) bool, func(string)) {
		s := rawOtter[[]byte](tb, capacity)
		return has(s.GetIfPresent), func(key string) { s.Set(key, something) }
	}},
	// Its queue loses writes when it is fed without a pause, which is not what is to be
	// measured here.
	{"raw_ristretto", func(tb testing.TB, capacity int) (func(string) bool, func(string)) {
		s := rawRistretto[[]byte](tb, capacity)
		return has(s.Get), func(key string) {
			s.SetWithTTL(key, something, 1, ttl)
			s.Wait()
		}
	}},
	{"theine", func(tb testing.TB, capacity int) (func(string) bool, func(string)) {
		s := rawTheine[[]byte](tb, capacity)
		return has(s.Get), func(key string) { s.SetWithTTL(key, something, 1, ttl) }
	}},
	{"hashicorp_LRU", func(tb testing.TB, capacity int) (func(string) bool, func(string)) {
		s := rawLRU[[]byte](tb, capacity)
		return has(s.Get), func(key string) { s.Add(key, something) }
	}},
}

func simulates(store storeOf) func(tb testing.TB, capacity int) (func(string) bool, func(string)) {
	return func(tb testing.TB, capacity int) (func(string) bool, func(string)) {
		s := store(tb, capacity)
		return has(s.Get), func(key string) { s.Set(key, something) }
	}
}

// What an entry takes of a FreeCache's arena beside its value, and how many entries there
// are at the least, as none may take more than a 1024th.
const (
	arenaEntry        = 24 + 4 + 8 + 11 // freecache's header, the store's number, a deadline, a key
	smallestFreeCache = 1024 + 1024/10
)

// simulatesFreeCache makes entries so large that capacity of them fill the arena. It skips
// what is too small for that.
func simulatesFreeCache(tb testing.TB, capacity int) (func(string) bool, func(string)) {
	if capacity < smallestFreeCache {
		tb.Skipf("skipped: the smallest FreeCache holds more than %d entries", capacity)
	}
	arena := 512 * local.KB
	for int(arena)/capacity < 2*arenaEntry {
		arena *= 2
	}
	s, value := local.NewArena(arena).NewFreeCache(ttl), make([]byte, int(arena)/capacity-arenaEntry)
	return has(s.Get), func(key string) { s.Set(key, value) }
}

// hitRatio plays t, and returns the part of its accesses that were hits.
func hitRatio(tb testing.TB, t trace, s simulated, capacity int) float64 {
	get, set := s.open(tb, capacity)
	hits := 0
	for _, i := range t.accesses {
		if key := t.keys[i]; get(key) {
			hits++
		} else {
			set(key)
		}
	}
	return float64(hits) / float64(len(t.accesses))
}

var tracesOnce = sync.OnceValues(loadTraces)

// BenchmarkHitRatio plays each trace on each store, for 1 %, 5 % and 10 % of its keys.
func BenchmarkHitRatio(b *testing.B) {
	traces, err := tracesOnce()
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range traces {
		for _, percent := range []int{1, 5, 10} {
			for _, s := range simulations {
				b.Run(fmt.Sprintf("%s/keys=%d%%/%s", t.name, percent, s.name), func(b *testing.B) {
					sum, runs := 0.0, 0
					for b.Loop() {
						sum += hitRatio(b, t, s, len(t.keys)*percent/100)
						runs++
					}
					b.ReportMetric(100*sum/float64(runs), "hit-%")
				})
			}
		}
	}
}

// TestHitRatio plays the synthetic trace: a store that kept nothing, or ignored what is
// asked for most, would be far below.
func TestHitRatio(t *testing.T) {
	synthetic := syntheticTrace()
	for _, s := range simulations {
		t.Run(s.name, func(t *testing.T) {
			ratio := hitRatio(t, synthetic, s, len(synthetic.keys)/10)
			t.Logf("%.1f %%", 100*ratio)
			if ratio < 0.4 || ratio > 0.99 {
				t.Errorf("%.1f %% of the accesses are hits", 100*ratio)
			}
		})
	}
}
