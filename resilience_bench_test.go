package cache_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/racing"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// everyOption is WithResilience and all that can stand beside it.
func everyOption() []cache.Option {
	return []cache.Option{cache.WithResilience(), cache.WithStaleWhileRevalidate(time.Minute), cache.WithLoadConcurrency(50)}
}

// localHits are reads that the local level answers, by their names. Each returns false if it does not.
func localHits(tb testing.TB, opts []cache.Option) map[string]func() bool {
	store := local.NewOtter(10_000, time.Hour)
	c := cache.New(append([]cache.Option{cache.WithLocal(store), cache.WithRemote(remotetest.NewMemory()), cache.WithStatsDisabled(true)}, opts...)...)
	tb.Cleanup(func() {
		c.Close()
		store.Close()
	})
	rows := cache.NewT[int, string](c)
	ids := make([]int, 10)
	for i := range ids {
		ids[i] = i
		if err := rows.Set(ctx, "row", i, fmt.Sprint("row ", i)); err != nil {
			tb.Fatal(err)
		}
	}
	one := func(context.Context, int) (string, error) { return "", errBoom }
	many := func(context.Context, []int) (map[int]string, error) { return nil, errBoom }
	load := cache.Do(func(context.Context) (any, error) { return nil, errBoom })
	var s string
	value := cache.Value(&s)
	return map[string]func() bool{
		"T.Get": func() bool {
			s, err := rows.Get(ctx, "row", 7, one)
			return err == nil && s != ""
		},
		"Once": func() bool { return c.Once(ctx, "row:7", value, load) == nil },
		"T.MGet of 10": func() bool {
			found, err := rows.MGetWithErr(ctx, "row", ids, many)
			return err == nil && len(found) == len(ids)
		},
	}
}

var namesOfHits = []string{"T.Get", "Once", "T.MGet of 10"}

// BenchmarkHitWithEveryOption compares a local hit of a cache with all options against failures with that
// of a cache without: they take turns.
func BenchmarkHitWithEveryOption(b *testing.B) {
	none, all := localHits(b, nil), localHits(b, everyOption())
	for _, name := range namesOfHits {
		b.Run(name, func(b *testing.B) {
			const turn = 2000
			take := func(hit func() bool) float64 {
				began := time.Now()
				for range turn {
					if !hit() {
						b.Fatal("no hit")
					}
				}
				return float64(time.Since(began)) / turn
			}
			var without, with, ratios []float64
			for b.Loop() {
				var w, a float64
				if len(ratios)%2 == 0 { // nobody is always the first
					w, a = take(none[name]), take(all[name])
				} else {
					a, w = take(all[name]), take(none[name])
				}
				without, with, ratios = append(without, w), append(with, a), append(ratios, a/w)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(without), "none-ns")
			b.ReportMetric(median(with), "all-ns")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(testing.AllocsPerRun(1000, func() { all[name]() }), "allocs")
		})
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

func TestAHitWithEveryOptionAllocatesNothingMore(t *testing.T) {
	if racing.Enabled {
		t.Skip("the race detector allocates")
	}
	none, all := localHits(t, nil), localHits(t, everyOption())
	for _, name := range namesOfHits {
		without, with := testing.AllocsPerRun(1000, func() { none[name]() }), testing.AllocsPerRun(1000, func() { all[name]() })
		if with > without || name == "T.Get" && with != 0 {
			t.Errorf("%s: %v allocations, and %v without options", name, with, without)
		}
	}
}
