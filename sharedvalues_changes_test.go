package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/local"
)

// The next hit after a change returns the new value, whatever value was kept before.
func TestHitsFollowChanges(t *testing.T) {
	type typed = *cache.T[int, score]
	for name, change := range map[string]struct {
		do   func(n *node, ids typed) error
		want int // zero: a miss
	}{
		"Set":                  {func(n *node, ids typed) error { return ids.Set(ctx, "k", 1, scoreOf(2)) }, 2},
		"Set of the Cache":     {func(n *node, ids typed) error { return n.Set(ctx, "k:1", cache.Value(scoreOf(2))) }, 2},
		"MSet":                 {func(n *node, ids typed) error { return ids.MSet(ctx, "k", map[int]score{1: scoreOf(2)}) }, 2},
		"Set of what is equal": {func(n *node, ids typed) error { return ids.Set(ctx, "k", 1, scoreOf(1)) }, 1},
		"Delete":               {func(n *node, ids typed) error { return ids.Delete(ctx, "k", 1) }, 0},
		"MDelete":              {func(n *node, ids typed) error { return ids.MDelete(ctx, "k", []int{1}) }, 0},
		"DeleteFromLocalCache": {func(n *node, ids typed) error {
			n.remote.Put("k:1", string(jsonOf(scoreOf(2)))) // by another node
			n.DeleteFromLocalCache("k:1")
			return nil
		}, 2},
		"a load that skips local": {func(n *node, ids typed) error {
			n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "get" {
					return reply("LOADING Redis is loading the dataset in memory")
				}
				return nil
			})
			_, err := ids.Fetch(ctx, "k", 1, func(context.Context, int) (score, error) { return scoreOf(2), nil }, cache.SkipLocal(true))
			n.remote.SetFault(nil)
			return err
		}, 2},
		"a refresh": {func(n *node, ids typed) error {
			_, err := ids.Fetch(ctx, "k", 1, func(context.Context, int) (score, error) { return scoreOf(2), nil }, cache.Refresh(true))
			pass(1200 * time.Millisecond)
			return err
		}, 2},
		"RefreshNow": {func(n *node, ids typed) error {
			_, err := ids.Fetch(ctx, "k", 1, func(context.Context, int) (score, error) { return scoreOf(2), nil }, cache.Refresh(true))
			return errors.Join(err, ids.RefreshNow(ctx, "k", 1))
		}, 2},
		"the end of its time": {func(n *node, ids typed) error { pass(3 * time.Second); return nil }, 0},
	} {
		for _, store := range keepers {
			t.Run(name+", "+store, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := overStore(t, store, cache.WithCodec("json"), cache.WithSharedValues[*score](), cache.WithClone(scoreOf(0).clone),
						cache.WithRefreshDuration(time.Second))
					plain, shared := cache.NewT[int, score](n.Cache), cache.NewT[int, *score](n.Cache)
					if err := n.Set(ctx, "k:1", cache.Value(scoreOf(1)), cache.TTL(3*time.Second)); err != nil {
						t.Fatal(err)
					}
					read := func() string {
						a, err := plain.Get(ctx, "k", 1, nil)
						b, err2 := shared.Get(ctx, "k", 1, nil)
						m, err3 := plain.MGetWithErr(ctx, "k", []int{1}, nil)
						if errors.Is(err, cache.ErrCacheMiss) && errors.Is(err2, cache.ErrCacheMiss) && errors.Is(err3, cache.ErrCacheMiss) {
							return "0 0 0"
						}
						if err = errors.Join(err, err2, err3); err != nil {
							return err.Error()
						}
						return fmt.Sprint(a.Points, " ", b.Points, " ", m[1].Points)
					}
					for range 3 { // what is kept changes between the two types
						if got := read(); got != "1 1 1" {
							t.Fatalf("before: %s", got)
						}
					}
					if err := change.do(n, plain); err != nil {
						t.Fatal(err)
					}
					for range 3 {
						if got, want := read(), fmt.Sprint(change.want, " ", change.want, " ", change.want); got != want {
							t.Errorf("got %s, want %s", got, want)
						}
					}
				})
			})
		}
	}
}

// score is cloned.
type score struct {
	Points int
	Notes  []string
}

func scoreOf(points int) score { return score{Points: points, Notes: []string{"n"}} }

func (score) clone(s score) score { return score{s.Points, append([]string(nil), s.Notes...)} }

func jsonOf(v any) []byte {
	data, err := encoding.GetCodec("json").Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// A hit may replace an entry by one that also keeps the decoded value. The lifetime of the entry stays
// the same.
func TestKeptValuesEndWithTheirEntries(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			for name, s := range map[string]local.Local{"Otter": local.NewOtter(100, ttl), "bytes": local.NewOtterBytes(local.MB, ttl), "TinyLFU": local.NewTinyLFU(100, ttl)} {
				s.(interface{ UseRandomizedTTL(time.Duration) }).UseRandomizedTTL(0)
				c := cache.New(cache.WithLocal(s), cache.WithStatsDisabled(true))
				ids := cache.NewT[int, int](c)
				_ = ids.Set(ctx, "k", 1, 7)
				_ = c.Set(ctx, "k:2", cache.Value(7), cache.TTL(1500*time.Millisecond))
				expect := func(id int, want bool) {
					t.Helper()
					for range 2 {
						if _, err := ids.Get(ctx, "k", id, nil); (err == nil) != want {
							t.Errorf("%s, ttl %s: id %d: %v", name, ttl, id, err)
						}
					}
				}
				time.Sleep(time.Second)
				expect(1, true)
				expect(2, true)
				time.Sleep(499 * time.Millisecond)
				expect(2, true)
				time.Sleep(time.Millisecond)
				expect(2, false)
				time.Sleep(time.Hour - 1501*time.Millisecond)
				expect(1, true)
				time.Sleep(time.Hour)
				expect(1, ttl == 0)
				s.(interface{ Close() }).Close()
			}
		})
	}
}

// A reader never sees a value that is older than the last Set or Delete before it began.
func TestConcurrentHitsFollowChanges(t *testing.T) {
	for _, store := range keepers {
		t.Run(store, func(t *testing.T) {
			n := overStore(t, store, cache.WithSharedValues[*score](), cache.WithClone(scoreOf(0).clone))
			plain, shared, cloned := cache.NewT[int, int](n.Cache), cache.NewT[int, *score](n.Cache), cache.NewT[int, score](n.Cache)
			var atLeast atomic.Int64 // what a reader that begins now must see, or more
			var stop atomic.Bool
			var wg sync.WaitGroup
			check := func(least int64, got int, err error) {
				if err != nil && !errors.Is(err, cache.ErrCacheMiss) {
					t.Error(err)
				}
				if err == nil && int64(got) < least {
					t.Errorf("read %d after %d was set", got, least)
				}
			}
			for range 4 {
				wg.Go(func() {
					for !stop.Load() {
						least := atLeast.Load()
						v, err := plain.Get(ctx, "i", 1, nil)
						check(least, v, err)
						p, err := shared.Get(ctx, "s", 1, nil)
						if err == nil {
							check(least, p.Points, nil)
						}
						s, err := cloned.Get(ctx, "s", 1, nil)
						if err == nil {
							check(least, s.Points, nil)
							s.Notes[0] = "mine"
						}
						m, _ := plain.MGetWithErr(ctx, "i", []int{1, 1}, nil)
						if v, ok := m[1]; ok {
							check(least, v, nil)
						}
					}
				})
			}
			for i := 1; i <= 400; i++ {
				_ = plain.Set(ctx, "i", 1, i)
				_ = cloned.MSet(ctx, "s", map[int]score{1: scoreOf(i)})
				atLeast.Store(int64(i))
				if i%8 == 0 {
					_ = plain.Delete(ctx, "i", 1)
					_ = cloned.MDelete(ctx, "s", []int{1})
					atLeast.Store(int64(i + 1))
				}
			}
			stop.Store(true)
			wg.Wait()
		})
	}
}

// Each hit of bytes that cannot be decoded is an error. After a load, the hits succeed.
func TestNothingIsKeptOfWhatCannotBeDecoded(t *testing.T) {
	for _, store := range keepers {
		n := overStore(t, store, cache.WithCodec("json"))
		ids := cache.NewT[int, [2]int](n.Cache)
		n.local.Set("k:1", []byte(`[1,"x"]`))
		for range 3 {
			if v, err := ids.Get(ctx, "k", 1, nil); err == nil || v != [2]int{} {
				t.Errorf("%s: %v, %v", store, v, err)
			}
		}
		got, err := ids.MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int][2]int, error) {
			return map[int][2]int{1: {3, 4}}, nil
		})
		if err != nil || !maps.Equal(got, map[int][2]int{1: {3, 4}}) {
			t.Errorf("%s: %v, %v", store, got, err)
		}
		if v := hits[[2]int](t, n.Cache)[0]; v != [2]int{3, 4} {
			t.Errorf("%s: afterwards %v", store, v)
		}
	}
}
