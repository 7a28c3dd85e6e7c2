package cache_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// Bad input: a clear error, and nothing is lost.

func TestACacheWithoutLevels(t *testing.T) {
	c := cache.New()
	defer c.Close()
	strs := cache.NewT[int, string](c)
	_, tGet := strs.Get(ctx, "k", 1, func(context.Context, int) (string, error) { t.Error("loaded"); return "", nil })
	got, tMGet := strs.MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int]string, error) { t.Error("loaded"); return nil, nil })
	for name, err := range map[string]error{
		"Set": c.Set(ctx, "k", cache.Value("v")), "Once": c.Once(ctx, "k", never(t)), "Get": c.Get(ctx, "k", nil),
		"GetSkippingLocal": c.GetSkippingLocal(ctx, "k", nil), "Delete": c.Delete(ctx, "k"), "T.Get": tGet, "T.MGetWithErr": tMGet,
		"T.Set": strs.Set(ctx, "k", 1, "v"), "T.Delete": strs.Delete(ctx, "k", 1),
	} {
		if !errors.Is(err, cache.ErrRemoteLocalBothNil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.DeleteFromLocalCache("k")
	if c.Exists(ctx, "k") || c.TaskSize() != 0 || c.CacheType() != "" || len(got) != 0 {
		t.Error("a cache without levels has something")
	}
}

func TestBadKeys(t *testing.T) {
	for key, reason := range map[string]string{"": "empty", "\xff\xfe": "UTF-8", "k\x80": "UTF-8"} {
		n := both(t)
		for name, err := range map[string]error{
			"Set": n.Set(ctx, key, cache.Value("v")), "Set with Do": n.Set(ctx, key, never(t)), "Once": n.Once(ctx, key, never(t)),
			"Get": n.Get(ctx, key, nil), "GetSkippingLocal": n.GetSkippingLocal(ctx, key, nil), "Delete": n.Delete(ctx, key),
		} {
			if !errors.Is(err, cache.ErrInvalidKey) || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s of %q: %v", name, key, err)
			}
		}
		n.DeleteFromLocalCache(key)
		if n.Exists(ctx, key) || len(n.remote.Keys()) != 0 || n.counts.take() != "" {
			t.Errorf("%q left a trace", key)
		}
	}
	// In a batch, the good ids are served.
	n := both(t)
	got, err := cache.NewT[string, string](n.Cache).MGetWithErr(ctx, "k", []string{"good", "\xff"}, func(_ context.Context, ids []string) (map[string]string, error) {
		return map[string]string{"good": "v", "\xff": "w"}, nil
	})
	if len(got) != 1 || got["good"] != "v" || !errors.Is(err, cache.ErrInvalidKey) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestBadDestinations(t *testing.T) {
	n := both(t)
	_ = n.Set(ctx, "k", cache.Value("v"))
	n.counts.take()
	for _, dst := range []any{"text", 7, user{}, (*string)(nil), (*[]byte)(nil), (*user)(nil), map[string]int{}, []int{}, func() {}} {
		for name, err := range map[string]error{
			"Get": n.Get(ctx, "k", dst), "GetSkippingLocal": n.GetSkippingLocal(ctx, "k", dst), "Once": n.Once(ctx, "new", cache.Value(dst), never(t)),
		} {
			if !errors.Is(err, cache.ErrInvalidDestination) || !strings.Contains(err.Error(), "got a ") {
				t.Errorf("%s into a %T: %v", name, dst, err)
			}
		}
	}
	n.expectStored(t, "k", "v", "v")
	// A pointer to another type: the value stays.
	if err := n.Get(ctx, "k", new(int)); err == nil {
		t.Error("text was read into an int")
	}
	n.expectStored(t, "k", "v", "v")
}

func TestANilContextMeansBackground(t *testing.T) {
	n := both(t)
	var none context.Context
	strs := cache.NewT[int, string](n.Cache)
	if err := n.Set(none, "k", cache.Value("v")); err != nil {
		t.Error(err)
	}
	if err := n.Set(none, "d", returns("v", nil)); err != nil {
		t.Error(err)
	}
	if s, err := onceStringCtx(none, n, "o", returns("v", nil)); s != "v" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if err := n.Get(none, "k", nil); err != nil {
		t.Error(err)
	}
	if err := n.GetSkippingLocal(none, "k", nil); err != nil {
		t.Error(err)
	}
	if !n.Exists(none, "k") {
		t.Error("Exists: false")
	}
	if got, err := strs.MGetWithErr(none, "m", []int{1}, func(ctx context.Context, _ []int) (map[int]string, error) { return map[int]string{1: "v"}, ctx.Err() }); got[1] != "v" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if v, err := strs.Get(none, "g", 1, func(ctx context.Context, _ int) (string, error) { return "v", ctx.Err() }); v != "v" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if err := n.Delete(none, "k"); err != nil {
		t.Error(err)
	}
}

func TestNewTOfNilPanics(t *testing.T) {
	if text := panicText(func() { cache.NewT[int, int](nil) }); !strings.Contains(text, "NewT: the cache is nil") {
		t.Errorf("panicked with %q", text)
	}
}

func TestItemTTLBelowZeroLeavesTheRemoteAlone(t *testing.T) {
	n := both(t)
	if err := n.Set(ctx, "k", cache.Value("v"), cache.TTL(-1)); err != nil {
		t.Fatal(err)
	}
	n.expectStored(t, "k", "v", "-")
	if s, err := onceString(n, "o", returns("v", nil), cache.TTL(-time.Second)); s != "v" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	n.expectStored(t, "o", "v", "-")
}

func TestSkipLocal(t *testing.T) {
	n := both(t)
	if s, err := onceString(n, "k", returns("v", nil), cache.SkipLocal(true)); s != "v" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	n.expectStored(t, "k", "-", "v")
	n.counts.take()
	if s, err := onceString(n, "k", never(t), cache.SkipLocal(true)); s != "v" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	n.expectStored(t, "k", "-", "v")
	if got := n.counts.take(); got != "h rh" {
		t.Errorf("counted %q", got)
	}
	n.local.Set("k", []byte("stale"))
	if s, err := onceString(n, "k", never(t), cache.SkipLocal(true)); s != "v" || err != nil {
		t.Errorf("local was read: %q, %v", s, err)
	}
	if err := n.GetSkippingLocal(ctx, "k", nil); err != nil || n.inLocal("k") != "stale" {
		t.Errorf("GetSkippingLocal: %v, local holds %q", err, n.inLocal("k"))
	}
}
