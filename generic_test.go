package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

func TestTypesAndIDsAreNotMixedUp(t *testing.T) {
	n := both(t)
	// Different types under related keys, at the same time.
	var wg sync.WaitGroup
	strs, ints := cache.NewT[string, string](n.Cache), cache.NewT[string, int](n.Cache)
	ids := []string{"a", "a b", "a:b", "a", ":", "a:", " ", "a b c", "日本", "*", "%d", "a\x00b"}
	for range 20 {
		wg.Go(func() {
			got, err := strs.MGetWithErr(ctx, "s", ids, func(_ context.Context, ids []string) (map[string]string, error) {
				found := map[string]string{"not asked for": "x"}
				for _, id := range ids {
					found[id] = "<" + id + ">"
				}
				return found, nil
			})
			if err != nil || len(got) != len(ids)-1 {
				t.Errorf("got %v, %v", got, err)
			}
			for id, v := range got {
				if v != "<"+id+">" {
					t.Errorf("%q is %q", id, v)
				}
			}
		})
		wg.Go(func() {
			for i, id := range ids {
				v, err := ints.Get(ctx, "i", id, func(context.Context, string) (int, error) { return slices.Index(ids, id), nil })
				if err != nil || v != slices.Index(ids, id) {
					t.Errorf("%d: %q is %d, %v", i, id, v, err)
				}
			}
		})
	}
	wg.Wait()
	if n.inRemote("s:not asked for") != "-" {
		t.Error("an id that was not asked for was stored")
	}

	// Callers read one key as different types at the same time. Each gets its own result.
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithSeparatorDisabled(true))
		for i := range 10 {
			go func() {
				if i%2 == 0 {
					_ = n.Once(ctx, "same", cache.Value(new(string)), returnsAfter(time.Second, userOf(1), nil))
					return
				}
				var u user
				if err := n.Once(ctx, "same", cache.Value(&u), returnsAfter(time.Second, userOf(1), nil)); err != nil || u.ID != 1 {
					t.Errorf("as a user: %v, %v", u, err)
				}
			}()
		}
		synctest.Wait()
		// The batch joins the load and cannot decode a user as an int: it loads by itself.
		got, err := cache.NewT[string, int](n.Cache).MGetWithErr(ctx, "", []string{"same"}, func(context.Context, []string) (map[string]int, error) {
			return map[string]int{"same": 7}, nil
		})
		if err != nil || got["same"] != 7 {
			t.Errorf("as an int: %v, %v", got, err)
		}
		synctest.Wait()
	})
}

type textID struct{ n int }

func (id textID) String() string { return fmt.Sprint("id", id.n%2) }

// Ids whose texts are the same would share a key: a batch does not read them.
func TestIDsWithTheSameTextAreErrorsInABatch(t *testing.T) {
	n := both(t)
	things := cache.NewT[textID, int](n.Cache)
	got, err := things.MGetWithErr(ctx, "t", []textID{{1}, {2}, {3}}, func(_ context.Context, ids []textID) (map[textID]int, error) {
		found := map[textID]int{}
		for _, id := range ids {
			found[id] = id.n % 2
		}
		return found, nil
	})
	if !errors.Is(err, cache.ErrInvalidKey) || len(got) != 1 || got[textID{2}] != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestTypedPointersToTextAndBytes(t *testing.T) {
	n := both(t)
	s, b := "text", []byte("bytes")
	texts, byteses := cache.NewT[int, *string](n.Cache), cache.NewT[int, *[]byte](n.Cache)
	for range 2 { // loaded, then from local
		got, err := texts.Get(ctx, "s", 1, func(context.Context, int) (*string, error) { return &s, nil })
		if err != nil || *got != s || got == &s {
			t.Errorf("got %v, %v", got, err)
		}
		gotBytes, err := byteses.Get(ctx, "b", 1, func(context.Context, int) (*[]byte, error) { return &b, nil })
		if err != nil || !bytes.Equal(*gotBytes, b) {
			t.Errorf("got %v, %v", gotBytes, err)
		}
	}
}

func TestNewTOfNilPanics(t *testing.T) {
	if text := panicText(func() { cache.NewT[int, int](nil) }); !strings.Contains(text, "NewT: the cache is nil") {
		t.Errorf("panicked with %q", text)
	}
}
