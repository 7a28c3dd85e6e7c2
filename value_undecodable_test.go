package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
)

// Bytes in a level that cannot be decoded.

func TestMGetLoadsAgainWhatCannotBeDecoded(t *testing.T) {
	damaged := "\xc1 damaged \x00"
	for _, where := range []string{"local and remote", "remote", "local"} {
		t.Run(where, func(t *testing.T) {
			n := both(t)
			users := cache.NewT[int, user](n.Cache)
			_ = users.Set(ctx, "u", 1, userOf(1))
			good := n.inRemote("u:1")
			if strings.Contains(where, "local") {
				n.local.Set("u:1", []byte(damaged))
			} else {
				n.local.Del("u:1")
			}
			if strings.Contains(where, "remote") {
				n.remote.Put("u:1", damaged)
			}
			loads := 0
			got, err := users.MGetWithErr(ctx, "u", []int{1, 2}, func(_ context.Context, ids []int) (map[int]user, error) {
				loads++
				found := map[int]user{}
				for _, id := range ids {
					found[id] = userOf(id)
				}
				return found, nil
			})
			if err != nil || got[1].Name != "user 1" || got[2].Name != "user 2" || loads != 1 {
				t.Errorf("got %v, %v after %d loads", got, err, loads)
			}
			n.expectStored(t, "u:1", good, good)
		})
	}
	t.Run("without a loader it is an error", func(t *testing.T) {
		n := both(t)
		n.remote.Put("u:1", damaged)
		got, err := cache.NewT[int, user](n.Cache).MGetWithErr(ctx, "u", []int{1}, nil)
		if err == nil || errors.Is(err, cache.ErrCacheMiss) || len(got) != 0 {
			t.Errorf("got %v, %v", got, err)
		}
		if err := n.Get(ctx, "u:1", new(user)); err == nil || !strings.Contains(err.Error(), "Delete") {
			t.Errorf("Get: %v, want an error that says what to do", err)
		}
	})
}

// A batch joins another caller's read, whose bytes it cannot decode. It loads by itself, once.
func TestMGetLoadsAgainWhatAnotherReadCannotDecode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		n.remote.Put("u:1", "\xc1 damaged \x00")
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "get" {
				time.Sleep(time.Second)
			}
			return nil
		})
		go func() { _ = n.Once(ctx, "u:1", cache.Value(new([]byte))) }()
		synctest.Wait()
		began, loads := time.Now(), 0
		got, err := cache.NewT[int, user](n.Cache).MGetWithErr(ctx, "u", []int{1}, func(context.Context, []int) (map[int]user, error) {
			loads++
			return map[int]user{1: userOf(1)}, nil
		})
		if err != nil || got[1].ID != 1 || loads != 1 {
			t.Errorf("got %v, %v after %d loads", got, err, loads)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the batch took %s, so it did not join the read", took)
		}
	})
}

// sour cannot be decoded: its error wraps ErrNotFound.
type sour struct{ N int }

func (s *sour) UnmarshalJSON([]byte) error { return fmt.Errorf("sour: %w", cache.ErrNotFound) }

// MGet loads the id again when its bytes cannot be decoded, also if the decoder's error wraps ErrNotFound.
func TestADecodeErrorThatWrapsNotFoundIsNoPlaceholder(t *testing.T) {
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			s := store(t)
			c := cache.New(cache.WithLocal(s), cache.WithCodec("json"), cache.WithStatsDisabled(true))
			defer c.Close()
			s.Set("k:1", []byte(`{"N":1}`))
			asked := 0
			found, _ := cache.NewT[int, sour](c).MGetWithErr(ctx, "k", []int{1}, func(_ context.Context, ids []int) (map[int]sour, error) {
				asked++
				return map[int]sour{1: {2}}, nil
			})
			if asked != 1 || found[1].N != 2 {
				t.Errorf("asked %d times, got %v", asked, found)
			}
		})
	}
}

func TestHostilePayloadsCostAnErrorAndBoundedMemory(t *testing.T) {
	for _, codec := range []string{"msgpack", "json"} {
		for _, payload := range encodingtest.Hostile() {
			n := both(t, cache.WithCodec(codec))
			n.remote.Put("k:1", string(payload))
			for _, dst := range []any{new([]int), new(any), new(user), new(map[string]any)} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_ = n.Once(ctx, "k:1", cache.Value(dst))
				runtime.ReadMemStats(&after)
				if got := after.TotalAlloc - before.TotalAlloc; got > uint64(100<<20+1000*len(payload)) {
					t.Errorf("%s: reading % x … into a %T took %d bytes", codec, payload[:min(8, len(payload))], dst, got)
				}
			}
			_, _ = cache.NewT[int, []int](n.Cache).MGetWithErr(ctx, "k", []int{1}, nil)
		}
	}
	n := both(t)
	n.remote.Put("k", "\xdd\xff\xff\xff\xff\x00")
	if err := n.Get(ctx, "k", new([]int)); err == nil {
		t.Error("a list of 4 Gi values was decoded from six bytes")
	}
}

func TestSingleReadsLoadAgainWhatCannotBeDecoded(t *testing.T) {
	const damaged = "\xc1 damaged \x00"
	for _, store := range []string{"TinyLFU", "FreeCache", "Otter"} {
		for _, where := range []string{"local and remote", "remote", "local"} {
			for name, read := range map[string]func(n *node, load func() user) (user, error){
				"Once": func(n *node, load func() user) (u user, err error) {
					err = n.Once(ctx, "u:1", cache.Value(&u), cache.Do(func(context.Context) (any, error) { return load(), nil }))
					return u, err
				},
				"Once with a deadline": func(n *node, load func() user) (u user, err error) {
					ctx, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					err = n.Once(ctx, "u:1", cache.Value(&u), cache.Do(func(context.Context) (any, error) { return load(), nil }))
					return u, err
				},
				"T.Get": func(n *node, load func() user) (user, error) {
					return cache.NewT[int, user](n.Cache).Get(ctx, "u", 1, func(context.Context, int) (user, error) { return load(), nil })
				},
			} {
				t.Run(store+"/"+where+"/"+name, func(t *testing.T) {
					n := overStore(t, store)
					_ = n.Set(ctx, "u:1", cache.Value(userOf(1)))
					good := n.inRemote("u:1")
					n.local.Del("u:1")
					if strings.Contains(where, "remote") {
						n.remote.Put("u:1", damaged)
					}
					if strings.Contains(where, "local") {
						n.local.Set("u:1", []byte(damaged))
					}
					loads := 0
					load := func() user { loads++; return userOf(1) }
					for range 3 {
						if u, err := read(n, load); u.Name != "user 1" || err != nil {
							t.Fatalf("got %v, %v", u, err)
						}
					}
					if loads != 1 {
						t.Errorf("%d loads", loads)
					}
					n.expectStored(t, "u:1", good, good)
				})
			}
		}
	}
	t.Run("without a loader it is an error", func(t *testing.T) {
		n := both(t)
		n.remote.Put("u:1", damaged)
		for range 2 {
			var u user
			if err := n.Once(ctx, "u:1", cache.Value(&u)); err == nil || errors.Is(err, cache.ErrCacheMiss) {
				t.Errorf("Once: %v", err)
			}
			if _, err := cache.NewT[int, user](n.Cache).Get(ctx, "u", 1, nil); err == nil || errors.Is(err, cache.ErrCacheMiss) {
				t.Errorf("T.Get: %v", err)
			}
		}
		n.expectStored(t, "u:1", damaged, damaged)
	})
}

// oneWay can be encoded, and never decoded.
type oneWay struct{ N int }

func (o oneWay) MarshalJSON() ([]byte, error)  { return []byte(`{"n":1}`), nil }
func (o *oneWay) UnmarshalJSON(b []byte) error { return errBoom }

// The caller of a loader gets what that returns, even if its stored form cannot be decoded.
func TestAValueThatCanNeverBeDecodedIsReturnedToItsLoadersCaller(t *testing.T) {
	log := captureLog(t)
	n := both(t, cache.WithCodec("json"))
	typed := cache.NewT[int, oneWay](n.Cache)
	loads := 0
	for range 3 {
		v, err := typed.Get(ctx, "k", 1, func(context.Context, int) (oneWay, error) { loads++; return oneWay{7}, nil })
		if v.N != 7 || err != nil {
			t.Errorf("T.Get: %v, %v", v, err)
		}
		var o oneWay
		if err := n.Once(ctx, "k:1", cache.Value(&o), cache.Do(func(context.Context) (any, error) { return &oneWay{8}, nil })); o.N != 8 || err != nil {
			t.Errorf("Once: %v, %v", o, err)
		}
		got, err := typed.MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int]oneWay, error) { return map[int]oneWay{1: {9}}, nil })
		if got[1].N != 9 || err != nil {
			t.Errorf("MGet: %v, %v", got, err)
		}
	}
	if lines := log.matching("cannot be decoded"); loads != 3 || len(lines) != 1 {
		t.Errorf("%d loads, logged %q", loads, lines)
	}
}

// Where V is an interface type, text and bytes come back as what they were.
func TestTextInAnInterfaceIsStillText(t *testing.T) {
	for _, codec := range []string{"msgpack", "json"} {
		n := both(t, cache.WithCodec(codec))
		things := cache.NewT[string, any](n.Cache)
		for name, text := range map[string]string{"number": "42", "trailer": "AB\x00", "plain": "hello", "empty": "", "star": "*"} {
			load := func(context.Context, string) (any, error) { return text, nil }
			for range 2 {
				if v, err := things.Get(ctx, codec, name, load); v != text || err != nil {
					t.Errorf("%s, loaded: %#v, %v", codec, v, err)
				}
			}
			if err := things.Set(ctx, codec+"-set", name, text); err != nil {
				t.Error(err)
			}
			if err := things.MSet(ctx, codec+"-mset", map[string]any{name: text}); err != nil {
				t.Error(err)
			}
			for _, prefix := range []string{codec + "-set", codec + "-mset"} {
				if v, err := things.Get(ctx, prefix, name, nil); v != text || err != nil {
					t.Errorf("%s: %#v, %v", prefix, v, err)
				}
			}
		}
	}
}

// A pointer to an empty text is not nil.
func TestAPointerToAnEmptyTextComesBack(t *testing.T) {
	n := both(t)
	texts := cache.NewT[int, *string](n.Cache)
	empty := ""
	for range 2 {
		if p, err := texts.Get(ctx, "k", 1, func(context.Context, int) (*string, error) { return &empty, nil }); p == nil || *p != "" || err != nil {
			t.Errorf("got %v, %v", p, err)
		}
	}
	got := texts.MGet(ctx, "k", []int{1}, nil)
	if got[1] == nil || *got[1] != "" {
		t.Errorf("MGet: %v", got)
	}
}

type (
	article struct {
		Title string
		Words int
	}
	invoice struct {
		Number string
		Cents  int64
	}
	half struct {
		Title string
		Other int
	}
)

// Two types under one prefix: an object of which no field fits is undecodable, and is loaded. One
// of which a field fits, or whose fields are zero, is a value.
func TestAnObjectOfAnotherTypeIsUndecodable(t *testing.T) {
	for _, codec := range []string{"msgpack", "json", "sonic"} {
		for _, store := range []string{"Otter", "FreeCache"} {
			n := overStore(t, store, cache.WithCodec(codec))
			articles, invoices := cache.NewT[int, article](n.Cache), cache.NewT[int, invoice](n.Cache)
			_ = articles.Set(ctx, "k", 1, article{"News", 7})
			if v, err := invoices.Get(ctx, "k", 1, nil); err == nil {
				t.Errorf("%s: got %v", codec, v)
			}
			for range 2 {
				v, err := invoices.Get(ctx, "k", 1, func(context.Context, int) (invoice, error) { return invoice{"1", 2}, nil })
				if v.Number != "1" || err != nil {
					t.Errorf("%s, loaded: %v, %v", codec, v, err)
				}
			}
			if got := invoices.MGet(ctx, "k", []int{1}, nil); got[1].Cents != 2 {
				t.Errorf("%s: MGet: %v", codec, got)
			}
			_ = articles.Set(ctx, "zero", 1, article{})
			if v, err := articles.Get(ctx, "zero", 1, nil); v != (article{}) || err != nil {
				t.Errorf("%s, zero: %v, %v", codec, v, err)
			}
			if v, err := cache.NewT[int, half](n.Cache).Get(ctx, "zero", 1, nil); v != (half{}) || err != nil {
				t.Errorf("%s, half: %v, %v", codec, v, err)
			}
			if v, err := cache.NewT[int, *invoice](n.Cache).Get(ctx, "zero", 1, nil); err == nil {
				t.Errorf("%s, a pointer: %v", codec, v)
			}
		}
	}
}
