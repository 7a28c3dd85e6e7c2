package benchmarks

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/Yiling-J/theine-go"
	rediscache "github.com/go-redis/cache/v9"
	"github.com/maypok86/otter/v2"

	cache "github.com/mgtv-tech/jetcache-go"
)

// A stampede: a thousand callers ask for one key that has to be loaded.

const stampedeCallers = 1000

// coldKey is a cold cache in front of a source: it returns one entity.
type coldKey struct {
	name string
	open func(tb testing.TB, s *source) func(id int64) (entity, error)
}

var coldKeys = []coldKey{
	{"T.Get_Otter", func(tb testing.TB, s *source) func(id int64) (entity, error) {
		users := cache.NewT[int64, entity](newCache(tb, cache.WithLocal(ourOtter(tb, 100)), shared()))
		return func(id int64) (entity, error) { return users.Get(ctx, keyPrefix, id, s.one) }
	}},
	{"otter_Get", func(tb testing.TB, s *source) func(id int64) (entity, error) {
		c := rawOtter[entity](tb, 100)
		return func(id int64) (entity, error) {
			return c.Get(ctx, keyOf(id), otter.LoaderFunc[string, entity](func(ctx context.Context, _ string) (entity, error) {
				return s.one(ctx, id)
			}))
		}
	}},
	{"theine_loading", func(tb testing.TB, s *source) func(id int64) (entity, error) {
		c, err := theine.NewBuilder[int64, entity](100).Loading(func(ctx context.Context, id int64) (theine.Loaded[entity], error) {
			e, err := s.one(ctx, id)
			return theine.Loaded[entity]{Value: e, Cost: 1, TTL: ttl}, err
		}).Build()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(c.Close)
		return func(id int64) (entity, error) { return c.Get(ctx, id) }
	}},
	{"sturdyc_GetOrFetch", func(tb testing.TB, s *source) func(id int64) (entity, error) {
		c := newSturdyc(tb, 100)
		return func(id int64) (entity, error) {
			return c.GetOrFetch(ctx, keyOf(id), func(ctx context.Context) (entity, error) { return s.one(ctx, id) })
		}
	}},
	{"go-redis_cache_Once", func(_ testing.TB, s *source) func(id int64) (entity, error) {
		c := rediscache.New(&rediscache.Options{LocalCache: rediscache.NewTinyLFU(100, ttl)})
		return func(id int64) (entity, error) {
			var e entity
			err := c.Once(&rediscache.Item{Ctx: ctx, Key: keyOf(id), Value: &e, TTL: ttl, Do: func(*rediscache.Item) (any, error) {
				return s.one(ctx, id)
			}})
			return e, err
		}
	}},
}

// stampede has all callers ask for the same id at the same time, and returns what they got
// and how long each waited.
func stampede(read func(id int64) (entity, error)) (got []entity, waits []time.Duration, errs []error) {
	got, errs = make([]entity, stampedeCallers), make([]error, stampedeCallers)
	waits = make([]time.Duration, stampedeCallers)
	var group sync.WaitGroup
	gate := make(chan struct{})
	for n := range stampedeCallers {
		group.Go(func() {
			<-gate
			begin := time.Now()
			got[n], errs[n] = read(7)
			waits[n] = time.Since(begin)
		})
	}
	close(gate)
	group.Wait()
	return got, waits, errs
}

// BenchmarkStampede reports the median and the 99th percentile of what a caller waits, and
// how often the loader was called.
func BenchmarkStampede(b *testing.B) {
	for _, c := range coldKeys {
		b.Run(c.name, func(b *testing.B) {
			var all []time.Duration
			runs, loads := 0, int64(0)
			for b.Loop() {
				var s source
				_, waits, errs := stampede(c.open(b, &s))
				for _, err := range errs {
					if err != nil {
						b.Fatal(err)
					}
				}
				all = append(all, waits...)
				loads += s.calls.Load()
				runs++
			}
			slices.Sort(all)
			b.ReportMetric(milliseconds(all[len(all)/2]), "p50-ms")
			b.ReportMetric(milliseconds(all[len(all)*99/100]), "p99-ms")
			b.ReportMetric(float64(loads)/float64(runs), "loads")
		})
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func TestStampede(t *testing.T) {
	for _, c := range coldKeys {
		t.Run(c.name, func(t *testing.T) {
			var s source
			got, _, errs := stampede(c.open(t, &s))
			for n := range got {
				if errs[n] != nil || !got[n].same(entityOf(7)) {
					t.Fatalf("caller %d got %+v, %v", n, got[n], errs[n])
				}
			}
			if loads := s.calls.Load(); loads != 1 {
				t.Errorf("%d loads, want one", loads)
			}
		})
	}
}
