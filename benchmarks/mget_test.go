package benchmarks

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/maypok86/otter/v2"

	cache "github.com/mgtv-tech/jetcache-go"
)

// Batches of a hundred ids, all of them in the process.

// batchReader is one way to read a batch. What open returns reads batch number n and says
// how many values it got, and what it got for one id.
type batchReader struct {
	name string
	open func(tb testing.TB, batches [][]int64) func(n int) batchResult
}

// batchResult is what was found, by the batch's kind of key.
type batchResult struct {
	byID  map[int64]entity
	byKey map[string]entity
}

func (r batchResult) len() int { return len(r.byID) + len(r.byKey) }

// measureBatches reads the batches one after the other, again and again, serially and on all
// processors.
func measureBatches(b *testing.B, readers []batchReader, batches [][]int64) {
	for _, r := range readers {
		b.Run(r.name, func(b *testing.B) {
			read := r.open(b, batches)
			for n := range batches { // what is kept of a first read is there afterwards
				read(n)
			}
			b.Run("serial", func(b *testing.B) {
				b.ReportAllocs()
				n, missing := 0, 0
				for b.Loop() {
					missing += batchSize - read(n%len(batches)).len()
					n++
				}
				noMisses(b, missing)
			})
			b.Run("parallel", func(b *testing.B) {
				b.ReportAllocs()
				var goroutines, missing atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for n := int(goroutines.Add(1)); pb.Next(); n++ {
						missing.Add(int64(batchSize - read(n%len(batches)).len()))
					}
				})
				noMisses(b, int(missing.Load()))
			})
		})
	}
}

// checkBatches compares what each reader gets with what should be there.
func checkBatches(t *testing.T, readers []batchReader, batches [][]int64) {
	for _, r := range readers {
		t.Run(r.name, func(t *testing.T) {
			read := r.open(t, batches)
			for n, ids := range batches {
				checkBatch(t, read(n), ids)
			}
		})
	}
}

func checkBatch(t *testing.T, got batchResult, ids []int64) {
	t.Helper()
	if got.len() != len(ids) {
		t.Fatalf("%d values, want %d", got.len(), len(ids))
	}
	for _, id := range ids {
		e, ok := got.byID[id]
		if !ok {
			e, ok = got.byKey[keyOf(id)]
		}
		if !ok {
			e, ok = got.byKey[idOf(id)]
		}
		if !ok || !e.same(entityOf(id)) {
			t.Fatalf("id %d: %v, %+v", id, ok, e)
		}
	}
}

// idOf returns an id as text, which is what sturdyc takes for one.
func idOf(id int64) string { return keyOf(id)[len(keyPrefix)+1:] }

// BenchmarkMGetLocal reads batches whose ids are all in the process. There are few enough
// of them that the processor's cache holds what they touch.
func BenchmarkMGetLocal(b *testing.B) { measureBatches(b, localBatchReaders, zipfBatches(16)) }

func TestMGetLocal(t *testing.T) { checkBatches(t, localBatchReaders, zipfBatches(3)) }

var localBatchReaders = []batchReader{
	{"raw_otter_BulkGet", openBulkGet},
	{"T.MGet_Otter", openMGet(ourOtter, shared)},
	{"T.MGet_Otter_clone", openMGet(ourOtter, cloned)},
	{"T.MGet_TinyLFU", openMGet(ourTinyLFU, shared)},
	{"T.MGet_FreeCache", openMGet(ourFreeCache, shared)},
	{"sturdyc_GetOrFetchBatch", openSturdycBatch},
}

func openBulkGet(tb testing.TB, batches [][]int64) func(n int) batchResult {
	store, keys := rawOtter[entity](tb, 2*keyCount), make([][]string, len(batches))
	for n, ids := range batches {
		keys[n] = keysOf(ids)
		for _, id := range ids {
			store.Set(keyOf(id), entityOf(id))
		}
	}
	load := otter.BulkLoaderFunc[string, entity](func(context.Context, []string) (map[string]entity, error) {
		return nil, errUnexpected
	})
	return func(n int) batchResult {
		found, err := store.BulkGet(ctx, keys[n], load)
		if err != nil {
			tb.Error(err)
		}
		return batchResult{byKey: found}
	}
}

func noEntities(context.Context, []int64) (map[int64]entity, error) { return nil, errUnexpected }

func openMGet(store storeOf, opt func() cache.Option) func(tb testing.TB, batches [][]int64) func(n int) batchResult {
	return func(tb testing.TB, batches [][]int64) func(n int) batchResult {
		users := cache.NewT[int64, entity](newCache(tb, cache.WithLocal(store(tb, 2*keyCount)), opt()))
		for _, ids := range batches {
			for _, id := range ids {
				if err := users.Set(ctx, keyPrefix, id, entityOf(id)); err != nil {
					tb.Fatal(err)
				}
			}
		}
		return func(n int) batchResult {
			found, err := users.MGetWithErr(ctx, keyPrefix, batches[n], noEntities)
			if err != nil {
				tb.Error(err)
			}
			return batchResult{byID: found}
		}
	}
}

func openSturdycBatch(tb testing.TB, batches [][]int64) func(n int) batchResult {
	c, asked := newSturdyc(tb, 2*keyCount), make([][]string, len(batches))
	key := c.BatchKeyFn(keyPrefix)
	for n, ids := range batches {
		for _, id := range ids {
			asked[n] = append(asked[n], idOf(id))
			c.Set(key(idOf(id)), entityOf(id))
		}
	}
	fetch := func(context.Context, []string) (map[string]entity, error) { return nil, errUnexpected }
	return func(n int) batchResult {
		found, err := c.GetOrFetchBatch(ctx, asked[n], key, fetch)
		if err != nil {
			tb.Error(err)
		}
		return batchResult{byKey: found}
	}
}
