package benchmarks

import (
	"runtime"
	"testing"

	"github.com/mgtv-tech/jetcache-go/local"
)

// What stores take of memory, in use after a garbage collection.

// millionEntries are so many, each with a value of valueBytes.
const (
	millionEntries = 1_000_000
	valueBytes     = 100
)

// heapInUse returns how many bytes are in use.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// fillable is a store that can be filled by put. What it puts off is done when settle
// returns; settle is nil if it puts nothing off.
type fillable struct {
	name string
	open func(tb testing.TB, capacity int) filling
}

type filling struct {
	put    func(key string, data []byte)
	has    func(key string) bool
	settle func()
}

var fillables = []fillable{
	{"raw_otter", func(tb testing.TB, capacity int) filling {
		s := rawOtter[[]byte](tb, capacity)
		return filling{put: func(key string, data []byte) { s.Set(key, data) }, has: has(s.GetIfPresent)}
	}},
	{"Otter", fillsOf(ourOtter)},
	{"raw_ristretto", func(tb testing.TB, capacity int) filling {
		s := rawRistretto[[]byte](tb, capacity)
		put := func(key string, data []byte) {
			for !s.SetWithTTL(key, data, 1, ttl) {
				s.Wait() // its queue is full
			}
		}
		return filling{put: put, has: has(s.Get), settle: s.Wait}
	}},
	{"TinyLFU", fillsOf(ourTinyLFU)},
	{"FreeCache", func(testing.TB, int) filling {
		s := local.NewArena(256 * local.MB).NewFreeCache(ttl)
		return filling{put: s.Set, has: has(s.Get)}
	}},
	{"theine", func(tb testing.TB, capacity int) filling {
		s := rawTheine[[]byte](tb, capacity)
		return filling{put: func(key string, data []byte) { s.SetWithTTL(key, data, 1, ttl) }, has: has(s.Get), settle: s.Wait}
	}},
	{"hashicorp_LRU", func(tb testing.TB, capacity int) filling {
		s := rawLRU[[]byte](tb, capacity)
		return filling{put: func(key string, data []byte) { s.Add(key, data) }, has: has(s.Get)}
	}},
}

func fillsOf(store storeOf) func(tb testing.TB, capacity int) filling {
	return func(tb testing.TB, capacity int) filling {
		s := store(tb, capacity)
		return filling{put: s.Set, has: has(s.Get)}
	}
}

func has(get func(key string) ([]byte, bool)) func(key string) bool {
	return func(key string) bool {
		_, ok := get(key)
		return ok
	}
}

// BenchmarkMemory fills each store and reports what an entry takes: key, value and all that
// the store keeps of it. Sizes leave a tenth of room, so that nothing gives way.
func BenchmarkMemory(b *testing.B) {
	for _, f := range fillables {
		b.Run(f.name, func(b *testing.B) {
			perEntry, runs := 0.0, 0
			for b.Loop() {
				perEntry += bytesPerEntry(b, f, millionEntries)
				runs++
			}
			b.ReportMetric(perEntry/float64(runs), "heap-B/entry")
		})
	}
}

func bytesPerEntry(tb testing.TB, f fillable, n int) float64 {
	before := heapInUse()
	s := f.open(tb, n+n/10)
	for _, id := range upTo(n) {
		s.put(keyOf(id), make([]byte, valueBytes))
	}
	if s.settle != nil {
		s.settle()
	}
	held := 0
	for _, id := range upTo(n) {
		if s.has(keyOf(id)) {
			held++
		}
	}
	used := heapInUse() - before
	runtime.KeepAlive(s)
	if held < n*99/100 {
		tb.Errorf("%d of %d entries are held", held, n)
	}
	return float64(used) / float64(held)
}

// empties are stores that hold nothing yet.
var empties = []struct {
	name  string
	limit int64 // what it may take, in bytes; 0: no target
	open  func(tb testing.TB) any
}{
	{"Otter", 100 << 10, func(tb testing.TB) any { return ourOtter(tb, 1000) }},
	{"TinyLFU", 1 << 20, func(tb testing.TB) any { return ourTinyLFU(tb, 1000) }},
	{"raw_otter", 0, func(tb testing.TB) any { return rawOtter[[]byte](tb, 1000) }},
	{"raw_ristretto", 0, func(tb testing.TB) any { return rawRistretto[[]byte](tb, 1000) }},
	{"theine", 0, func(tb testing.TB) any { return rawTheine[[]byte](tb, 1000) }},
}

// BenchmarkEmpty reports what a store for a thousand entries takes before it has any.
func BenchmarkEmpty(b *testing.B) {
	for _, e := range empties {
		b.Run(e.name, func(b *testing.B) {
			used, runs := int64(0), int64(0)
			for b.Loop() {
				used += emptyHeap(b, e.open)
				runs++
			}
			b.ReportMetric(float64(used)/float64(runs)/1024, "heap-KiB")
		})
	}
}

// emptyHeap returns what one of several stores takes.
func emptyHeap(tb testing.TB, open func(tb testing.TB) any) int64 {
	const stores = 10
	var kept [stores]any
	before := heapInUse()
	for i := range kept {
		kept[i] = open(tb)
	}
	used := heapInUse() - before
	runtime.KeepAlive(&kept)
	return used / stores
}

func TestEmptyStoresAreSmall(t *testing.T) {
	for _, e := range empties {
		used := emptyHeap(t, e.open)
		t.Logf("%s: %d KiB", e.name, used/1024)
		if e.limit > 0 && used >= e.limit {
			t.Errorf("an empty %s for 1,000 entries takes %d bytes, want less than %d", e.name, used, e.limit)
		}
	}
}

func TestEveryStoreHoldsWhatItWasFilledWith(t *testing.T) {
	for _, f := range fillables {
		t.Run(f.name, func(t *testing.T) {
			bytesPerEntry(t, f, 20_000) // which fails the test for a store that holds less
		})
	}
}
