package benchmarks

import (
	"testing"
	"unsafe"
)

func TestZipfIDs(t *testing.T) {
	count := map[int64]int{}
	for _, id := range zipfIDs() {
		if id < 1 || id > keyCount {
			t.Fatalf("id %d is not one of 1 to %d", id, keyCount)
		}
		count[id]++
	}
	most, hottest := 0, int64(0)
	for id, n := range count {
		if n > most {
			most, hottest = n, id
		}
	}
	if share := float64(most) / drawCount; share < 0.05 || share > 0.12 {
		t.Errorf("the hottest id is %.1f %% of the accesses, want about 8 %%", 100*share)
	}
	if hottest == 1 {
		t.Error("the hottest id is the first one: ranks are not shuffled")
	}
	if len(count) < keyCount/3 {
		t.Errorf("%d different ids occur, want a good part of %d", len(count), keyCount)
	}
}

func TestAWorkloadHasEachAccessAsAKeyOfItsOwn(t *testing.T) {
	w := newWorkload(9, []int64{7, 9, 7})
	for i, id := range w.ids {
		if w.keys[i] != keyOf(id) {
			t.Errorf("access %d of id %d has the key %q", i, id, w.keys[i])
		}
	}
	if unsafe.StringData(w.keys[0]) == unsafe.StringData(w.keys[2]) {
		t.Error("two accesses share the text of their key")
	}
}

func TestZipfBatches(t *testing.T) {
	batches := zipfBatches(50)
	if len(batches) != 50 {
		t.Fatalf("%d batches, want 50", len(batches))
	}
	for n, batch := range batches {
		seen := map[int64]bool{}
		for _, id := range batch {
			seen[id] = true
		}
		if len(batch) != batchSize || len(seen) != batchSize {
			t.Errorf("batch %d has %d ids, %d of them different", n, len(batch), len(seen))
		}
	}
}
