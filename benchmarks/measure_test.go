package benchmarks

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/logger"
)

// TestMain keeps the statistics, which caches log every minute, out of the results.
func TestMain(m *testing.M) {
	logger.SetLevel(logger.LevelError)
	m.Run()
}

var ctx = context.Background()

// ttl is the lifetime of all entries: longer than any benchmark.
const ttl = time.Hour

// reader is one way to read a value that is at hand.
type reader[V any] struct {
	name string
	open opener[V]
}

// opener fills a store as w says and returns what makes access number n of w, and whether
// it found what it should. What it starts ends with tb.
type opener[V any] = func(tb testing.TB, w workload) func(n int) (V, bool)

// measureReads runs each reader serially and on all processors, over the same ids.
func measureReads[V any](b *testing.B, readers []reader[V]) {
	for _, r := range readers {
		b.Run(r.name, func(b *testing.B) {
			read := r.open(b, zipfWorkload())
			warm(b, zipfWorkload(), read)
			b.Run("serial", func(b *testing.B) { measureSerialReads(b, read) })
			b.Run("parallel", func(b *testing.B) { measureParallelReads(b, read) })
		})
	}
}

// warm reads each id once: what is kept of a first read is there afterwards.
func warm[V any](b *testing.B, w workload, read func(n int) (V, bool)) {
	seen := make([]bool, w.n+1)
	for n, id := range w.ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if _, ok := read(n); !ok {
			b.Fatalf("id %d is not there", id)
		}
	}
}

func measureSerialReads[V any](b *testing.B, read func(n int) (V, bool)) {
	b.ReportAllocs()
	n, misses := 0, 0
	for b.Loop() {
		if _, ok := read(n & (drawCount - 1)); !ok {
			misses++
		}
		n++
	}
	noMisses(b, misses)
}

// measureParallelReads reads on as many goroutines as b says, each from another place of
// the sequence on.
func measureParallelReads[V any](b *testing.B, read func(n int) (V, bool)) {
	b.ReportAllocs()
	var goroutines, misses atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		n, missed := int(goroutines.Add(1))*104_729, 0
		for pb.Next() {
			if _, ok := read(n & (drawCount - 1)); !ok {
				missed++
			}
			n++
		}
		misses.Add(int64(missed))
	})
	noMisses(b, int(misses.Load()))
}

func noMisses(b *testing.B, misses int) {
	b.Helper()
	if misses > 0 {
		b.Fatalf("%d reads found nothing, or not what was asked for", misses)
	}
}

// checkReaders reads with each reader what should be there, and compares it.
func checkReaders[V any](t *testing.T, readers []reader[V], want func(id int64) V, same func(a, b V) bool) {
	w := newWorkload(300, upTo(300))
	for _, r := range readers {
		t.Run(r.name, func(t *testing.T) {
			read := r.open(t, w)
			for range 2 { // the second time, what is kept of the first is read
				for n, id := range w.ids {
					if got, ok := read(n); !ok || !same(got, want(id)) {
						t.Fatalf("id %d: %v, %+v", id, ok, got)
					}
				}
			}
		})
	}
}
