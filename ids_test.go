package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// Which ids can be told apart, and what becomes of the others.

type (
	pairID      struct{ A, B string }
	marshaledID struct{ A, B string }
	printID     struct{ A, B string }
	groupID     [2]pairID
	hexID       [4]byte
)

func (id marshaledID) MarshalText() ([]byte, error) {
	if id.A == "" {
		return nil, errBoom
	}
	return []byte(id.A + "/" + id.B), nil
}

func (id printID) String() string { return id.A + "/" + id.B }

func newT[K comparable](c cache.Cache) func() {
	return func() { cache.NewT[K, string](c) }
}

func TestNewTRefusesIDsWithoutATextOfTheirOwn(t *testing.T) {
	c := both(t).Cache
	for name, create := range map[string]func(){
		"cache_test.pairID":  newT[pairID](c),
		"*int":               newT[*int](c),
		"interface {}":       newT[any](c),
		"chan int":           newT[chan int](c),
		"cache_test.groupID": newT[groupID](c),
		"[2]interface {}":    newT[[2]any](c),
	} {
		if got := panicText(create); !strings.HasPrefix(got, "cache: NewT: ids of type "+name+" cannot be told apart") {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, create := range map[string]func(){
		"text": newT[marshaledID](c), "String": newT[printID](c), "array": newT[hexID](c), "arrays": newT[[2]hexID](c),
		"netip": newT[netip.Addr](c), "time": newT[time.Time](c), "int": newT[int](c), "float": newT[float64](c), "bool": newT[bool](c),
	} {
		if got := panicText(create); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The text of a struct is that of MarshalText, if it has no String: fmt.Sprint would print the
// ids {"a b", "c"} and {"a", "b c"} alike.
func TestIDsWithMarshalTextAreNotMixedUp(t *testing.T) {
	texts := cache.NewT[marshaledID, string](both(t).Cache)
	for id, want := range map[marshaledID]string{{"a b", "c"}: "1", {"a", "b c"}: "2"} {
		if err := texts.Set(ctx, "k", id, want); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[marshaledID]string{{"a b", "c"}: "1", {"a", "b c"}: "2"} {
		if v, err := texts.Get(ctx, "k", id, nil); v != want || err != nil {
			t.Errorf("%v: %q, %v", id, v, err)
		}
	}
	if err := texts.Set(ctx, "k", marshaledID{}, "v"); !errors.Is(err, cache.ErrInvalidKey) {
		t.Errorf("an id without a text: %v", err)
	}
	if got := cache.NewT[printID, string](both(t).Cache).Key("k", printID{"a", "b"}); got != "k:a/b" {
		t.Errorf("the key is %q", got)
	}
}

// Ids of one batch that are not equal but have one key are errors. The others are read.
func TestIDsOfABatchWithTheSameKeyAreErrors(t *testing.T) {
	n := both(t)
	load := func(_ context.Context, ids []any) (map[any]string, error) {
		found := map[any]string{}
		for _, id := range ids {
			found[id] = "v"
		}
		return found, nil
	}
	anys := &cache.T[any, string]{Cache: n.Cache}
	_ = n.Set(ctx, "k:1", cache.Value("another's"))
	got, err := anys.MGetWithErr(ctx, "k", []any{1, "1", 2, 2, []int{3}}, load)
	if len(got) != 1 || got[2] != "v" || !errors.Is(err, cache.ErrInvalidKey) || !strings.Contains(err.Error(), `"k:1"`) || !strings.Contains(err.Error(), `"k:[3]"`) {
		t.Errorf("got %v, %v", got, err)
	}
	floats := cache.NewT[float64, string](n.Cache)
	values, err := floats.MGetWithErr(ctx, "f", []float64{math.NaN(), 0.5, math.NaN()}, func(_ context.Context, ids []float64) (map[float64]string, error) {
		return map[float64]string{0.5: "half"}, nil
	})
	if len(values) != 1 || values[0.5] != "half" || !errors.Is(err, cache.ErrInvalidKey) || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("got %v, %v", values, err)
	}
}

func TestMGetListIsInTheOrderOfTheIDs(t *testing.T) {
	n := both(t)
	strs := cache.NewT[int, string](n.Cache)
	_ = strs.Set(ctx, "k", 3, "three")
	load := func(_ context.Context, ids []int) (map[int]string, error) {
		return map[int]string{1: "one", 5: "five"}, errBoom
	}
	got, err := strs.MGetList(ctx, "k", []int{5, 3, 2, 1, 5}, load)
	if strings.Join(got, " ") != "five three one five" || !errors.Is(err, errBoom) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := strs.MGetList(ctx, "k", nil, load); got == nil || len(got) != 0 || err != nil {
		t.Errorf("of no ids: %v, %v", got, err)
	}
}

// first is an id whose text is only its beginning.
type first string

func (f first) String() string { return string(f[:1]) }

// tenantTime has the text of a field that it embeds, which says nothing of the other.
type tenantTime struct {
	time.Time
	Tenant int
}

// ownTime has a text of its own.
type ownTime struct {
	time.Time
	Tenant int
}

func (o ownTime) String() string { return fmt.Sprint(o.Unix(), "/", o.Tenant) }

func TestAPromotedMethodIsNoTextOfItsOwn(t *testing.T) {
	c := both(t).Cache
	if got := panicText(newT[tenantTime](c)); !strings.Contains(got, "a struct has no text of its own") {
		t.Errorf("NewT panics with %q", got)
	}
	if got := panicText(newT[ownTime](c)); got != "" {
		t.Errorf("NewT panics with %q", got)
	}
}

func TestIDsThatPrintAlikeAreErrorsInABatch(t *testing.T) {
	n := both(t)
	ids := cache.NewT[first, string](n.Cache)
	for range 2 {
		got, err := ids.MGetWithErr(ctx, "k", []first{"ab", "ac", "b"}, func(_ context.Context, ids []first) (map[first]string, error) {
			found := map[first]string{}
			for _, id := range ids {
				found[id] = string(id)
			}
			return found, nil
		})
		if len(got) != 1 || got["b"] != "b" || !errors.Is(err, cache.ErrInvalidKey) {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if err := ids.MSet(ctx, "s", map[first]string{"ab": "1", "ac": "2", "b": "3"}); !errors.Is(err, cache.ErrInvalidKey) {
		t.Errorf("MSet: %v", err)
	}
	n.expectStored(t, "s:a", "-", "-")
	n.expectStored(t, "s:b", "3", "3")
	arrays := cache.NewT[[2]string, string](n.Cache)
	if err := arrays.MSet(ctx, "s", map[[2]string]string{{"a b", "c"}: "1", {"a", "b c"}: "2"}); !errors.Is(err, cache.ErrInvalidKey) {
		t.Errorf("MSet of arrays: %v", err)
	}
}
