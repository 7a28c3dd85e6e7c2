package benchmarks

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/errgroup"

	cache "github.com/mgtv-tech/jetcache-go"
)

// Batches that overlap, at the same time, on a cold cache: how many ids is the loader asked
// for, when it need not be asked for any of them twice?

const (
	overlappingBatches = 32
	overlappingIDs     = 200 // that all batches are drawn from
	loadTime           = 50 * time.Millisecond
)

// overlapping returns the batches: each has another half of the ids.
func overlapping() [][]int64 {
	r := rand.New(rand.NewPCG(3, 9))
	batches := make([][]int64, overlappingBatches)
	for n := range batches {
		for _, i := range r.Perm(overlappingIDs)[:batchSize] {
			batches[n] = append(batches[n], int64(i)+1)
		}
	}
	return batches
}

// source is the database behind a cache: it takes loadTime for a call and counts what it is
// asked for.
type source struct {
	calls, ids atomic.Int64
}

func (s *source) wait(ids int) {
	s.calls.Add(1)
	s.ids.Add(int64(ids))
	time.Sleep(loadTime)
}

func (s *source) one(_ context.Context, id int64) (entity, error) {
	s.wait(1)
	return entityOf(id), nil
}

func (s *source) many(_ context.Context, ids []int64) (map[int64]entity, error) {
	s.wait(len(ids))
	found := make(map[int64]entity, len(ids))
	for _, id := range ids {
		found[id] = entityOf(id)
	}
	return found, nil
}

// coldBatch is a cold cache in front of a source: it returns a batch.
type coldBatch struct {
	name string
	open func(tb testing.TB, s *source) func(ids []int64) (batchResult, error)
}

var coldBatches = []coldBatch{
	{"T.MGet_Otter", func(tb testing.TB, s *source) func(ids []int64) (batchResult, error) {
		users := cache.NewT[int64, entity](newCache(tb, cache.WithLocal(ourOtter(tb, 10*overlappingIDs)), shared()))
		return func(ids []int64) (batchResult, error) {
			found, err := users.MGetWithErr(ctx, keyPrefix, ids, s.many)
			return batchResult{byID: found}, err
		}
	}},
	{"otter_BulkGet", func(tb testing.TB, s *source) func(ids []int64) (batchResult, error) {
		c := rawOtter[entity](tb, 10*overlappingIDs)
		load := otter.BulkLoaderFunc[string, entity](func(ctx context.Context, keys []string) (map[string]entity, error) {
			return byText(ctx, s, keys, len(keyPrefix)+1)
		})
		return func(ids []int64) (batchResult, error) {
			found, err := c.BulkGet(ctx, keysOf(ids), load)
			return batchResult{byKey: found}, err
		}
	}},
	{"sturdyc_GetOrFetchBatch", func(tb testing.TB, s *source) func(ids []int64) (batchResult, error) {
		c := newSturdyc(tb, 10*overlappingIDs)
		fetch := func(ctx context.Context, ids []string) (map[string]entity, error) { return byText(ctx, s, ids, 0) }
		return func(ids []int64) (batchResult, error) {
			text := make([]string, len(ids))
			for i, id := range ids {
				text[i] = idOf(id)
			}
			found, err := c.GetOrFetchBatch(ctx, text, c.BatchKeyFn(keyPrefix), fetch)
			return batchResult{byKey: found}, err
		}
	}},
}

// byText asks s for ids that are text behind a prefix of so many bytes.
func byText(ctx context.Context, s *source, keys []string, prefix int) (map[string]entity, error) {
	ids := make([]int64, len(keys))
	for i, key := range keys {
		id, err := strconv.ParseInt(key[prefix:], 10, 64)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	loaded, err := s.many(ctx, ids)
	found := make(map[string]entity, len(keys))
	for i, id := range ids {
		found[keys[i]] = loaded[id]
	}
	return found, err
}

// askAtOnce has all batches asked for at the same time.
func askAtOnce(read func(ids []int64) (batchResult, error), batches [][]int64) ([]batchResult, error) {
	var group errgroup.Group
	results := make([]batchResult, len(batches))
	var ready sync.WaitGroup
	ready.Add(len(batches))
	for n, ids := range batches {
		group.Go(func() (err error) {
			ready.Done()
			ready.Wait()
			results[n], err = read(ids)
			return err
		})
	}
	return results, group.Wait()
}

// BenchmarkOverlappingBatches reports how many ids the loader was asked for, and in how many
// calls.
func BenchmarkOverlappingBatches(b *testing.B) {
	batches := overlapping()
	for _, c := range coldBatches {
		b.Run(c.name, func(b *testing.B) {
			var asked source
			runs := 0
			for b.Loop() {
				var s source
				if _, err := askAtOnce(c.open(b, &s), batches); err != nil {
					b.Fatal(err)
				}
				asked.ids.Add(s.ids.Load())
				asked.calls.Add(s.calls.Load())
				runs++
			}
			b.ReportMetric(float64(asked.ids.Load())/float64(runs), "ids-asked")
			b.ReportMetric(float64(asked.calls.Load())/float64(runs), "loads")
		})
	}
}

func TestOverlappingBatches(t *testing.T) {
	batches := overlapping()
	for _, c := range coldBatches {
		t.Run(c.name, func(t *testing.T) {
			var s source
			results, err := askAtOnce(c.open(t, &s), batches)
			if err != nil {
				t.Fatal(err)
			}
			for n, ids := range batches {
				checkBatch(t, results[n], ids)
			}
			asked := s.ids.Load()
			t.Logf("%d ids asked for, %d calls", asked, s.calls.Load())
			if asked != overlappingIDs && c.name == "T.MGet_Otter" {
				t.Errorf("the loader was asked for %d ids, want each of the %d once", asked, overlappingIDs)
			}
		})
	}
}
