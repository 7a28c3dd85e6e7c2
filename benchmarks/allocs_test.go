package benchmarks

import (
	"testing"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/internal/test/racing"
	"github.com/mgtv-tech/jetcache-go/local"
)

// Allocations do not depend on the machine, so tests hold them.

func TestAllocations(t *testing.T) {
	skipWhileRacing(t)
	w := newWorkload(100, upTo(100))
	batch := openMGet(ourOtter, shared)(t, [][]int64{upTo(batchSize)})
	for _, tt := range []struct {
		name   string
		atMost float64
		call   func()
	}{
		{"T.Get of a shared entity, Otter", 0, readsSeventh(t, openT(ourOtter, shared)(t, w))},
		{"T.Get of a shared entity, TinyLFU", 0, readsSeventh(t, openT(ourTinyLFU, shared)(t, w))},
		{"T.Get of a string, Otter", 0, readsSeventh(t, openStringT(ourOtter)(t, w))},
		{"T.Get of a string, TinyLFU", 0, readsSeventh(t, openStringT(ourTinyLFU)(t, w))},
		{"T.MGet of 100 shared entities, Otter", 6, func() { batch(0) }},
	} {
		checkAllocations(t, tt.name, tt.atMost, tt.call)
	}
}

// TestAllocationsOverBytes holds reads of a store that keeps bytes against what the codec
// allocates for the same bytes. Which bytes an entity has differs from Set to Set, as its map
// is encoded in any order, and with them whether they could be compressed.
func TestAllocationsOverBytes(t *testing.T) {
	skipWhileRacing(t)
	w := newWorkload(100, upTo(100))
	store := ourFreeCache(t, 2*w.n)
	given := func(testing.TB, int) local.Local { return store }
	for name, open := range map[string]opener[entity]{
		"T.Get, FreeCache": openT(given, shared),
		"Once, FreeCache":  openOnce(given),
	} {
		call := readsSeventh(t, open(t, w))
		data, ok := store.Get(keyOf(7))
		if !ok {
			t.Fatalf("%s: nothing is stored", name)
		}
		codec := testing.AllocsPerRun(100, func() {
			var e entity
			if err := encoding.GetCodec("msgpack").Unmarshal(data, &e); err != nil {
				t.Error(err)
			}
		})
		checkAllocations(t, name, codec+2, call)
	}
}

func skipWhileRacing(t *testing.T) {
	if racing.Enabled {
		t.Skip("skipped: the race detector allocates")
	}
}

func checkAllocations(t *testing.T, name string, atMost float64, call func()) {
	t.Helper()
	call() // what is kept of a first read is there afterwards
	if got := testing.AllocsPerRun(1000, call); got > atMost {
		t.Errorf("%s: %v allocations, want at most %v", name, got, atMost)
	}
}

// readsSeventh returns a read of the entity with the id 7.
func readsSeventh[V any](t *testing.T, read func(n int) (V, bool)) func() {
	return func() {
		if _, ok := read(6); !ok {
			t.Error("nothing was read")
		}
	}
}
