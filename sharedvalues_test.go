package cache_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/encoding"
)

// keepers are the kinds of local stores that keep values.
var keepers = []string{"Otter", "TinyLFU"}

// recCodec is JSON that counts what is decoded.
type recCodec struct {
	encoding.Codec
	name    string
	decodes atomic.Int64
}

// withRecCodec registers a codec of the test's own and returns the option that takes it.
func withRecCodec(t testing.TB) (*recCodec, cache.Option) {
	c := &recCodec{Codec: encoding.GetCodec("json"), name: t.Name()}
	encoding.RegisterCodec(c)
	return c, cache.WithCodec(c.name)
}

func (c *recCodec) Name() string { return c.name }

func (c *recCodec) Unmarshal(data []byte, v any) error {
	c.decodes.Add(1)
	return c.Codec.Unmarshal(data, v)
}

// hits reads the id 1 of k with each reading call of T. All of them are hits.
func hits[V any](t testing.TB, c cache.Cache) (values []V) {
	t.Helper()
	ids := cache.NewT[int, V](c)
	take := func(v V, err error) {
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		values = append(values, v)
	}
	takeOne := func(m map[int]V, err error) { take(m[1], err) }
	take(ids.Get(ctx, "k", 1, nil))
	take(ids.Get(ctx, "k", 1, nil))
	take(ids.Fetch(ctx, "k", 1, nil, cache.TTL(time.Minute)))
	take(ids.Fetch(ctx, "k", 1, nil, cache.Refresh(true)))
	takeOne(ids.MGetWithErr(ctx, "k", []int{1}, nil))
	takeOne(ids.MFetch(ctx, "k", []int{1}, nil, cache.Refresh(true)))
	return values
}

const hitCount = 6 // of hits

// decodesOf returns how often the hits of v are decoded.
func decodesOf[V any](store string, v V, opts ...cache.Option) func(t *testing.T) int {
	return func(t *testing.T) int {
		codec, opt := withRecCodec(t)
		n := overStore(t, store, append(opts, opt)...)
		if err := cache.NewT[int, V](n.Cache).Set(ctx, "k", 1, v); err != nil {
			t.Fatal(err)
		}
		for _, got := range hits[V](t, n.Cache) {
			if fmt.Sprint(got) != fmt.Sprint(v) {
				t.Errorf("got %v, want %v", got, v)
			}
		}
		return int(codec.decodes.Load())
	}
}

type (
	flag  bool
	point struct{ X, Y float64 }
	event struct {
		Name  string
		At    time.Time
		Where [2]point
		Live  flag
	}
	list struct{ Items []event }
)

func TestWhichTypesAreKept(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	full := event{"e", at, [2]point{{1, 2}, {3, 4}}, true}
	for _, store := range append(keepers, "FreeCache") {
		once := 1
		if store == "FreeCache" {
			once = hitCount
		}
		for name, tt := range map[string]struct {
			decodes func(t *testing.T) int
			want    int
		}{
			"int":              {decodesOf(store, 7), once},
			"bool":             {decodesOf(store, flag(true)), once},
			"named text":       {decodesOf(store, textKind("t")), once},
			"text":             {decodesOf(store, "t"), 0}, // needs no codec
			"time":             {decodesOf(store, at), once},
			"array":            {decodesOf(store, [2]point{{1, 2}, {3, 4}}), once},
			"struct":           {decodesOf(store, full), once},
			"empty struct":     {decodesOf(store, struct{}{}), once},
			"slice":            {decodesOf(store, []int{1}), hitCount},
			"map":              {decodesOf(store, map[string]int{"a": 1}), hitCount},
			"struct of slices": {decodesOf(store, list{[]event{full}}), hitCount},
			"array of slices":  {decodesOf(store, [1][]int{{1}}), hitCount},
			"interface":        {decodesOf[any](store, 7.5), hitCount},
			"bytes":            {decodesOf(store, []byte("b")), 0}, // needs no codec

			"shared slice":     {decodesOf(store, []int{1}, cache.WithSharedValues[[]int]()), once},
			"shared struct":    {decodesOf(store, list{[]event{full}}, cache.WithSharedValues[list]()), once},
			"shared interface": {decodesOf[any](store, 7.5, cache.WithSharedValues[any]()), once},
			"cloned slice":     {decodesOf(store, []int{1}, cache.WithClone(slices.Clone[[]int])), once},
			"another is shared": {
				decodesOf(store, list{[]event{full}}, cache.WithSharedValues[*list](), cache.WithSharedValues[[]list]()), hitCount},
		} {
			t.Run(name+", "+store, func(t *testing.T) {
				if got := tt.decodes(t); got != tt.want {
					t.Errorf("decoded %d times, want %d", got, tt.want)
				}
			})
		}
	}
}

type textKind string

// By default, a caller that changes its value does not change the value of another caller.
func TestUnsharedValuesAreTheCallersOwn(t *testing.T) {
	for store := range stores {
		n := overStore(t, store)
		u := userOf(1)
		for name, get := range map[string]func() []user{
			"structs":  func() []user { return hits[user](t, n.Cache) },
			"pointers": func() (us []user) { return deref(hits[*user](t, n.Cache)) },
		} {
			_ = n.Set(ctx, "k:1", cache.Value(u))
			for _, got := range append(get(), get()...) {
				if got.Roles[0] != "r" {
					t.Errorf("%s, %s: another caller's change shows: %v", store, name, got)
				}
				got.Roles[0] = "changed"
			}
		}
		_ = n.Set(ctx, "k:1", cache.Value([]byte("bytes")))
		for _, got := range hits[[]byte](t, n.Cache) {
			if string(got) != "bytes" {
				t.Errorf("%s: another caller's change shows: %q", store, got)
			}
			clear(got)
		}
		n.expectStored(t, "k:1", "bytes", "bytes")
	}
}

func deref[V any](ps []*V) (vs []V) {
	for _, p := range ps {
		vs = append(vs, *p)
	}
	return vs
}

func TestSharedValuesAreOneValue(t *testing.T) {
	for _, store := range keepers {
		n := overStore(t, store, cache.WithSharedValues[user](), cache.WithSharedValues[*user](), cache.WithSharedValues[[]byte]())
		_ = n.Set(ctx, "k:1", cache.Value(userOf(1)))
		structs := hits[user](t, n.Cache)
		for _, u := range structs {
			if &u.Roles[0] != &structs[0].Roles[0] {
				t.Errorf("%s: a struct refers to memory of its own", store)
			}
		}
		pointers := hits[*user](t, n.Cache)
		for _, u := range pointers {
			if u != pointers[0] || &u.Roles[0] == &structs[0].Roles[0] {
				t.Errorf("%s: a pointer of its own, or the struct's memory", store)
			}
		}
		_ = n.Set(ctx, "k:1", cache.Value([]byte("bytes")))
		bytes := hits[[]byte](t, n.Cache)
		for _, b := range bytes {
			if &b[0] != &bytes[0][0] {
				t.Errorf("%s: bytes of its own", store)
			}
		}
		// A caller never gets the bytes that the entry stores.
		bytes[0][0] = 'B'
		n.expectStored(t, "k:1", "bytes", "bytes")
	}
}

func TestClonesAreMadeForEachHit(t *testing.T) {
	for _, store := range keepers {
		clones := 0
		clone := func(u user) user {
			clones++
			u.Roles = slices.Clone(u.Roles)
			return u
		}
		n := overStore(t, store, cache.WithSharedValues[user](), cache.WithClone(clone)) // the later option counts
		users := cache.NewT[int, user](n.Cache)
		loaded, err := users.MGetWithErr(ctx, "k", []int{1}, loadUsers)
		if err != nil || clones != 0 {
			t.Errorf("%s: the load: %v, %d clones", store, err, clones)
		}
		loaded[1].Roles[0] = "changed"
		for i, u := range hits[user](t, n.Cache) {
			if u.Roles[0] != "r" {
				t.Errorf("%s: hit %d is another caller's value: %v", store, i, u)
			}
			u.Roles[0] = "changed"
		}
		if clones != hitCount {
			t.Errorf("%s: %d clones, want %d", store, clones, hitCount)
		}
		// Without a store that keeps values there is nothing to clone.
		free := cache.NewT[int, user](overStore(t, "FreeCache", cache.WithClone(clone)).Cache)
		_ = free.Set(ctx, "k", 1, userOf(1))
		if _, err := free.Get(ctx, "k", 1, nil); err != nil || clones != hitCount {
			t.Errorf("FreeCache: %v, %d clones", err, clones-hitCount)
		}
	}
}

// The reader gets a panic of the clone function. Later calls work.
func TestACloneThatPanics(t *testing.T) {
	for _, store := range keepers {
		broken := true
		n := overStore(t, store, cache.WithClone(func(u user) user {
			if broken {
				panic("the clone is broken")
			}
			return u
		}))
		users := cache.NewT[int, user](n.Cache)
		_ = users.Set(ctx, "k", 1, userOf(1))
		for range 2 { // the first decodes
			for name, read := range map[string]func(){
				"Get":   func() { _, _ = users.Get(ctx, "k", 1, nil) },
				"Fetch": func() { _, _ = users.Fetch(ctx, "k", 1, nil, cache.TTL(1)) },
				"MGet":  func() { _, _ = users.MGetWithErr(ctx, "k", []int{2, 1}, nil) },
			} {
				if text := panicText(read); text != "the clone is broken" {
					t.Errorf("%s, %s: panicked with %q", store, name, text)
				}
			}
		}
		broken = false
		if got, err := users.MGetWithErr(ctx, "k", []int{1, 2}, loadUsers); err != nil || len(got) != 2 {
			t.Errorf("%s: afterwards: %v, %v", store, got, err)
		}
		if err := users.MSet(ctx, "k", map[int]user{1: userOf(3)}); err != nil {
			t.Errorf("%s: afterwards: %v", store, err)
		}
		if u, err := users.Get(ctx, "k", 1, nil); u.ID != 3 || err != nil {
			t.Errorf("%s: afterwards: %v, %v", store, u, err)
		}
	}
}

func TestACloneThatIsNil(t *testing.T) {
	text := panicText(func() { cache.New(cache.WithClone[user](nil)) })
	if !strings.Contains(text, "WithClone[cache_test.user]") || !strings.Contains(text, "WithSharedValues") {
		t.Errorf("panicked with %q", text)
	}
}

// The untyped calls decode for each caller, whatever T keeps.
func TestOnceAndGetDecodeInAnyCase(t *testing.T) {
	for _, store := range keepers {
		n := overStore(t, store, cache.WithSharedValues[user](), cache.WithSharedValues[*user]())
		_ = n.Set(ctx, "k:1", cache.Value(userOf(1)))
		for range 2 {
			shared := append(hits[user](t, n.Cache), deref(hits[*user](t, n.Cache))...)
			var once, got user
			var pointer *user
			if err := errors.Join(n.Once(ctx, "k:1", cache.Value(&once)), n.Get(ctx, "k:1", &got), n.Get(ctx, "k:1", &pointer)); err != nil {
				t.Fatal(err)
			}
			for _, u := range []*user{&once, &got, pointer} {
				u.Roles[0] = "changed"
			}
			for _, u := range shared {
				if u.Roles[0] != "r" {
					t.Errorf("%s: what an untyped caller changed shows: %v", store, u)
				}
			}
		}
	}
}

func TestKeptEmptyValuesAndPlaceholders(t *testing.T) {
	for store := range stores {
		n := overStore(t, store, cache.WithSharedValues[*user](), cache.WithClone(maps.Clone[map[string]int]))
		_ = n.Set(ctx, "k:1", cache.Value(nil))
		n.expectStored(t, "k:1", "", "")
		for i := range hitCount {
			if v := hits[int](t, n.Cache)[i]; v != 0 {
				t.Errorf("%s: no bytes are %d", store, v)
			}
			if v := hits[string](t, n.Cache)[i]; v != "" {
				t.Errorf("%s: no bytes are %q", store, v)
			}
			if v := hits[*user](t, n.Cache)[i]; v != nil {
				t.Errorf("%s: no bytes are %v", store, v)
			}
			if v := hits[map[string]int](t, n.Cache)[i]; len(v) > 0 {
				t.Errorf("%s: no bytes are %v", store, v)
			}
		}
		_ = n.Set(ctx, "k:1", returns(nil, cache.ErrNotFound))
		ids := cache.NewT[int, int](n.Cache)
		for range 3 {
			if v, err := ids.Get(ctx, "k", 1, nil); v != 0 || !errors.Is(err, cache.ErrNotFound) {
				t.Errorf("%s: a placeholder is %d, %v", store, v, err)
			}
			if got, err := ids.MGetWithErr(ctx, "k", []int{1}, nil); len(got) > 0 || err != nil {
				t.Errorf("%s: a placeholder is %v, %v", store, got, err)
			}
		}
		_ = n.Set(ctx, "k:1", cache.Value(7))
		if v := hits[int](t, n.Cache)[0]; v != 7 {
			t.Errorf("%s: after the placeholder: %d", store, v)
		}
	}
}
