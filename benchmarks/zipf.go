package benchmarks

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

// keyCount is how many keys there are. Their ids are 1 to keyCount.
const keyCount = 100_000

// drawCount is how many accesses there are before they repeat; a power of two, so that a
// benchmark finds its next one with a mask.
const drawCount = 1 << 18

// zipfIDs returns drawCount ids, distributed as Zipf found: the key at rank n is asked for
// about n times less than the first. Ranks are shuffled, so that hot keys are not neighbours
// in memory. It is the same sequence each time.
var zipfIDs = sync.OnceValue(func() []int64 {
	r := rand.New(rand.NewPCG(2024, 7))
	rank := r.Perm(keyCount)
	zipf := rand.NewZipf(r, 1.01, 1, keyCount-1)
	ids := make([]int64, drawCount)
	for i := range ids {
		ids[i] = int64(rank[zipf.Uint64()]) + 1
	}
	return ids
})

// workload is what is stored and in which order it is read.
type workload struct {
	n    int      // the ids 1 to n are stored
	ids  []int64  // the accesses
	keys []string // the same, as keys
}

// zipfWorkload is the one of the benchmarks.
var zipfWorkload = sync.OnceValue(func() workload { return newWorkload(keyCount, zipfIDs()) })

// newWorkload makes the keys of ids. Each access has a key text of its own, and they lie in
// memory as they are read: a key that comes out of a request is in the processor's cache,
// and is not the very string that was stored.
func newWorkload(n int, ids []int64) workload {
	var text strings.Builder
	ends := make([]int, len(ids))
	for i, id := range ids {
		text.WriteString(keyOf(id))
		ends[i] = text.Len()
	}
	keys, begin := make([]string, len(ids)), 0
	for i, end := range ends {
		keys[i] = text.String()[begin:end]
		begin = end
	}
	return workload{n: n, ids: ids, keys: keys}
}

// keyPrefix and keyOf make the keys of entities as T does from a prefix and an id.
const keyPrefix = "user"

func keyOf(id int64) string { return keyPrefix + ":" + strconv.FormatInt(id, 10) }

// keysOf returns the keys of ids.
func keysOf(ids []int64) []string { return newWorkload(0, ids).keys }

// upTo returns the ids 1 to n.
func upTo(n int) []int64 {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i) + 1
	}
	return ids
}

// batchSize is how many ids a batch has.
const batchSize = 100

// zipfBatches returns n batches of distinct ids, the next that zipfIDs has.
func zipfBatches(n int) [][]int64 {
	batches := make([][]int64, 0, n)
	seen := make(map[int64]bool, batchSize)
	batch := make([]int64, 0, batchSize)
	for _, id := range zipfIDs() {
		if seen[id] {
			continue
		}
		seen[id] = true
		if batch = append(batch, id); len(batch) < batchSize {
			continue
		}
		batches = append(batches, batch)
		if len(batches) == n {
			break
		}
		batch = make([]int64, 0, batchSize)
		clear(seen)
	}
	return batches
}
