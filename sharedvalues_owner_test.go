package cache_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// Callers that read the same bytes as different types do not get each other's values, in any order.
func TestEachTypeHasItsOwnValue(t *testing.T) {
	type other struct{ Points int }
	type twin score
	for _, store := range keepers {
		for _, opts := range [][]cache.Option{nil, {cache.WithSharedValues[score](), cache.WithSharedValues[twin](),
			cache.WithSharedValues[*score](), cache.WithSharedValues[any](), cache.WithSharedValues[map[string]any](), cache.WithSharedValues[fmt.Stringer]()}} {
			n := overStore(t, store, append(opts, cache.WithCodec("json"))...)
			_ = n.Set(ctx, "k:1", cache.Value(scoreOf(7)))
			reads := []func() (string, error){
				func() (string, error) { return text(cache.NewT[int, score](n.Cache)) },
				func() (string, error) { return text(cache.NewT[int, twin](n.Cache)) },
				func() (string, error) { return text(cache.NewT[int, other](n.Cache)) },
				func() (string, error) {
					p, err := cache.NewT[int, *score](n.Cache).Get(ctx, "k", 1, nil)
					return fmt.Sprint(*p), err
				},
				func() (string, error) { return text(cache.NewT[int, any](n.Cache)) },
				func() (string, error) { return text(cache.NewT[int, map[string]any](n.Cache)) },
				func() (string, error) { return text(cache.NewT[int, string](n.Cache)) },
				func() (string, error) {
					_, err := cache.NewT[int, fmt.Stringer](n.Cache).Get(ctx, "k", 1, nil)
					if err == nil {
						return "no error", nil
					}
					return "cannot be decoded", nil
				},
			}
			want := []string{"{7 [n]}", "{7 [n]}", "{7}", "{7 [n]}", "map[Notes:[n] Points:7]", "map[Notes:[n] Points:7]", `{"Points":7,"Notes":["n"]}`, "cannot be decoded"}
			for first := range reads {
				for second := range reads {
					for _, i := range []int{first, second, first, first} {
						if got, err := reads[i](); got != want[i] || err != nil {
							t.Fatalf("%s: reader %d, of %d and %d: %s, %v, want %s", store, i, first, second, got, err, want[i])
						}
					}
				}
			}
		}
	}
}

func text[V any](ids *cache.T[int, V]) (string, error) {
	v, err := ids.Get(ctx, "k", 1, nil)
	return fmt.Sprint(v), err
}

// Caches on one store do not share decoded values, since their codecs and options may differ.
func TestEachCacheHasItsOwnValue(t *testing.T) {
	for _, store := range keepers {
		s := stores[store](t)
		open := func(opts ...cache.Option) cache.Cache {
			return cache.New(append(opts, cache.WithLocal(s), cache.WithCodec("json"), cache.WithStatsDisabled(true))...)
		}
		share, alsoShare, own := open(cache.WithSharedValues[score]()), open(cache.WithSharedValues[score]()), open()
		s.Set("k:1", jsonOf(scoreOf(1)))
		for range 3 {
			a, b, c := hits[score](t, share), hits[score](t, alsoShare), hits[score](t, own)
			for _, v := range c {
				v.Notes[0] = "mine"
			}
			if &a[0].Notes[0] == &b[0].Notes[0] || a[0].Notes[0] != "n" || b[0].Notes[0] != "n" {
				t.Errorf("%s: the caches share a value: %v, %v", store, a[0], b[0])
			}
		}
		s.Set("k:1", []byte("7"))
		negative := cache.NewT[int, int](cache.New(cache.WithLocal(s), cache.WithCodec(withNegatives(t)), cache.WithStatsDisabled(true)))
		for range 3 {
			a := hits[int](t, own)[0]
			b, err := negative.Get(ctx, "k", 1, nil)
			if a != 7 || b != -7 || err != nil {
				t.Errorf("%s: the codecs' values are %d and %d, %v", store, a, b, err)
			}
		}
	}
}

// negatives is JSON of numbers with the other sign.
type negatives struct {
	encoding.Codec
	name string
}

func withNegatives(t testing.TB) string {
	c := negatives{encoding.GetCodec("json"), t.Name() + " negatives"}
	encoding.RegisterCodec(c)
	return c.name
}

func (c negatives) Name() string { return c.name }

func (c negatives) Unmarshal(data []byte, v any) error {
	err := c.Codec.Unmarshal(data, v)
	if n, ok := v.(*int); ok {
		*n = -*n
	}
	return err
}

// T builds the text of a key in memory that it uses again. Kept values must not refer to that memory.
func TestKeptValuesAreFoundUnderTheirKeys(t *testing.T) {
	for _, store := range keepers {
		n := overStore(t, store)
		ids := cache.NewT[int, int](n.Cache)
		const many = 300
		for id := range many {
			_ = ids.Set(ctx, "k", id, id)
		}
		for range 3 {
			for id := range many {
				if v, err := ids.Get(ctx, "k", id, nil); v != id || err != nil {
					t.Fatalf("%s: %d is %d, %v", store, id, v, err)
				}
			}
		}
		for id := range many {
			_ = ids.Delete(ctx, "k", id)
			n.expectStored(t, fmt.Sprint("k:", id), "-", "-")
		}
	}
}

// The decoded values in a store do not keep the cache that stored them alive.
func TestAStoreDoesNotHoldItsCaches(t *testing.T) {
	for _, store := range keepers {
		s := stores[store](t)
		var held weak.Pointer[recStats]
		func() {
			counts := &recStats{} // goes when its cache does
			held = weak.Make(counts)
			c := cache.New(cache.WithLocal(s), cache.WithRemote(remotetest.NewMemory()), cache.WithStatsHandler(counts),
				cache.WithSharedValues[score](), cache.WithClone(func(n int) int { return n }))
			defer c.Close()
			_ = cache.NewT[int, int](c).Set(ctx, "k", 1, 7)
			hits[int](t, c)
			_ = cache.NewT[int, score](c).Set(ctx, "k", 1, scoreOf(7))
			hits[score](t, c)
		}()
		for began := time.Now(); held.Value() != nil; time.Sleep(10 * time.Millisecond) {
			runtime.GC()
			if time.Since(began) > 10*time.Second {
				t.Fatalf("%s: the cache is still there", store)
			}
		}
		if _, ok := s.Get("k:1"); !ok {
			t.Errorf("%s: the entry went with the cache", store)
		}
		runtime.KeepAlive(s)
	}
}
