package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// countingCache wraps a Cache by embedding it.
type countingCache struct {
	cache.Cache
	mu    sync.Mutex
	calls map[string]int
}

func (c *countingCache) count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[name]++
}

func (c *countingCache) Get(ctx context.Context, key string, v any) error {
	c.count("Get")
	return c.Cache.Get(ctx, key, v)
}

func (c *countingCache) Set(ctx context.Context, key string, opts ...cache.ItemOption) error {
	c.count("Set")
	return c.Cache.Set(ctx, key, opts...)
}

func (c *countingCache) Once(ctx context.Context, key string, opts ...cache.ItemOption) error {
	c.count("Once")
	return c.Cache.Once(ctx, key, opts...)
}

func (c *countingCache) Delete(ctx context.Context, key string) error {
	c.count("Delete")
	return c.Cache.Delete(ctx, key)
}

// hidingCache wraps a Cache without embedding it, and says so.
type hidingCache struct {
	cache.Cache
	inner cache.Cache
}

func (c hidingCache) Unwrap() cache.Cache { return c.inner }

// opaqueCache wraps a Cache so that T cannot see it.
type opaqueCache struct{ *countingCache }

type aliased = cache.Cache

// aliasCache embeds a Cache under a name that is not exported.
type aliasCache struct{ aliased }

// mockCache answers everything with a miss; it wraps nothing.
type mockCache struct{ sets []string }

func (*mockCache) Get(context.Context, string, any) error              { return cache.ErrCacheMiss }
func (*mockCache) GetSkippingLocal(context.Context, string, any) error { return cache.ErrCacheMiss }

func (*mockCache) Once(context.Context, string, ...cache.ItemOption) error {
	return cache.ErrCacheMiss
}

func (m *mockCache) Set(_ context.Context, key string, _ ...cache.ItemOption) error {
	m.sets = append(m.sets, key)
	return nil
}

func (*mockCache) Delete(context.Context, string) error { return nil }
func (*mockCache) DeleteFromLocalCache(string)          {}
func (*mockCache) Exists(context.Context, string) bool  { return false }
func (*mockCache) TaskSize() int                        { return 0 }
func (*mockCache) CacheType() string                    { return cache.TypeBoth }
func (*mockCache) Close()                               {}

func TestTWorksOverAWrappedCache(t *testing.T) {
	errGone := errors.New("gone")
	n := both(t, cache.WithSeparator("/"), cache.WithErrNotFound(errGone))
	counting := &countingCache{Cache: n.Cache, calls: map[string]int{}}
	for name, c := range map[string]cache.Cache{
		"embedding":         counting,
		"a wrapped wrapper": &countingCache{Cache: counting, calls: map[string]int{}},
		"Unwrap":            hidingCache{Cache: n.Cache, inner: n.Cache},
	} {
		t.Run(name, func(t *testing.T) {
			users := cache.NewT[int, user](c)
			prefix := "u " + name
			if err := users.Set(ctx, prefix, 1, userOf(1)); err != nil {
				t.Fatal(err)
			}
			if n.inRemote(prefix+"/1") == "-" {
				t.Errorf("the wrapped cache's separator is not used: %v", n.remote.Keys())
			}
			var asked [][]int
			load := func(_ context.Context, ids []int) (map[int]user, error) {
				asked = append(asked, ids)
				return map[int]user{2: userOf(2), 9: userOf(9)}, nil
			}
			for range 2 {
				got, err := users.MGetWithErr(ctx, prefix, []int{1, 2, 3, 1}, load)
				if err != nil || len(got) != 2 || got[1].ID != 1 || got[2].ID != 2 {
					t.Errorf("MGetWithErr: %v, %v", got, err)
				}
			}
			if fmt.Sprint(asked) != "[[2 3]]" {
				t.Errorf("the loader was asked for %v, want 2 and 3 once", asked)
			}
			if _, err := users.Get(ctx, prefix, 3, nil); !errors.Is(err, errGone) {
				t.Errorf("Get of what does not exist: %v", err)
			}
			if u, err := users.Get(ctx, prefix, 4, func(_ context.Context, id int) (user, error) { return userOf(id), nil }); err != nil || u.ID != 4 {
				t.Errorf("Get: %v, %v", u, err)
			}
			if !users.Exists(ctx, prefix, 4) {
				t.Error("Exists: false")
			}
			if err := users.Delete(ctx, prefix, 4); err != nil || users.Exists(ctx, prefix, 4) {
				t.Errorf("Delete: %v", err)
			}
			if _, err := users.MGetWithErr(ctx, prefix, []int{5}, func(context.Context, []int) (map[int]user, error) { return nil, errBoom }); !errors.Is(err, errBoom) {
				t.Errorf("a failing loader: %v", err)
			}
			if _, err := users.MGetWithErr(ctx, prefix, []int{5}, nil); !errors.Is(err, cache.ErrCacheMiss) {
				t.Errorf("no loader: %v", err)
			}
		})
	}
	if counting.calls["Get"] == 0 || counting.calls["Set"] == 0 || counting.calls["Once"] == 0 || counting.calls["Delete"] == 0 {
		t.Errorf("calls went past the wrapper: %v", counting.calls)
	}
}

func TestTWorksOverAMock(t *testing.T) {
	m := &mockCache{}
	users := cache.NewT[int, user](m)
	got := users.MGet(ctx, "u", []int{1, 2}, func(_ context.Context, ids []int) (map[int]user, error) {
		return map[int]user{1: userOf(1)}, nil
	})
	if len(got) != 1 || got[1].ID != 1 || fmt.Sprint(m.sets) != "[u:1 u:2]" {
		t.Errorf("got %v, set %v", got, m.sets)
	}
	if _, err := users.Get(ctx, "u", 1, nil); !errors.Is(err, cache.ErrCacheMiss) {
		t.Errorf("Get: %v", err)
	}
}

func TestAWrapperThatHidesItsSettings(t *testing.T) {
	n := both(t, cache.WithErrNotFound(errBoom))
	c := opaqueCache{&countingCache{Cache: n.Cache, calls: map[string]int{}}}
	got, err := cache.NewT[int, string](c).MGetWithErr(ctx, "k", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
		return map[int]string{1: "v"}, nil
	})
	if got[1] != "v" || len(got) != 1 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAWrapperWithAnAlias(t *testing.T) {
	n := both(t)
	if v, err := cache.NewT[int, string](aliasCache{n.Cache}).Get(ctx, "k", 1, func(context.Context, int) (string, error) { return "v", nil }); v != "v" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
}

func TestAPanicThroughAWrapperIsAnError(t *testing.T) {
	n := both(t)
	var p *cache.PanicError
	_, err := cache.NewT[int, string](&countingCache{Cache: n.Cache, calls: map[string]int{}}).MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int]string, error) { panic("boom") })
	if !errors.As(err, &p) {
		t.Errorf("got %v", err)
	}
}

func TestFetchThroughAWrapper(t *testing.T) {
	n := both(t, cache.WithRefreshDuration(time.Hour))
	ids := cache.NewT[int, string](&countingCache{Cache: n.Cache, calls: map[string]int{}})
	opts := []cache.ItemOption{cache.TTL(time.Minute), cache.SkipLocal(true)}
	if v, err := ids.Fetch(ctx, "k", 1, loads("v", nil), append(opts, cache.Refresh(true))...); v != "v" || err != nil {
		t.Errorf("Fetch: %q, %v", v, err)
	}
	if _, err := ids.MFetch(ctx, "k", []int{1}, loadsAll("w"), append(opts, cache.Refresh(true))...); err != nil || n.TaskSize() != 1 {
		t.Errorf("MFetch: %v, and %d keys are refreshed, want that of Fetch", err, n.TaskSize())
	}
	if got, err := ids.MFetch(ctx, "k", []int{1, 2, 99, 2}, loadsAll("w"), opts...); err != nil || !maps.Equal(got, map[int]string{1: "v", 2: "w"}) {
		t.Errorf("MFetch: %v, %v", got, err)
	}
	for key, want := range map[string]string{"k:1": "v", "k:2": "w", "k:99": "*"} {
		n.expectStored(t, key, "-", want)
		if ttl, _ := n.remote.TTL(key); ttl > 66*time.Second {
			t.Errorf("%q lives for %s", key, ttl)
		}
	}
	if v, err := ids.Fetch(ctx, "k", 1, nil, cache.SetXX(true)); v != "v" || err != nil {
		t.Errorf("Fetch of what is there: %q, %v", v, err)
	}
}

func TestMSetAndMDeleteThroughAWrapper(t *testing.T) {
	n := both(t)
	w := &countingCache{Cache: n.Cache, calls: map[string]int{}}
	ids := cache.NewT[int, string](w)
	err := ids.MSet(ctx, "k", map[int]string{1: "a", 2: "*"}, cache.TTL(time.Minute), cache.SkipLocal(true))
	if !errors.Is(err, cache.ErrReservedValue) {
		t.Errorf("MSet: %v", err)
	}
	n.expectStored(t, "k:1", "-", "a")
	if ttl, _ := n.remote.TTL("k:1"); ttl > time.Minute {
		t.Errorf("it lives for %s", ttl)
	}
	n.remote.SetFault(func(_ context.Context, _ string, keys ...string) error {
		if keys[0] == "k:2" {
			return errBoom
		}
		return nil
	})
	if err := ids.MDelete(ctx, "k", []int{2, 1}); !errors.Is(err, errBoom) {
		t.Errorf("MDelete: %v", err)
	}
	n.expectStored(t, "k:1", "-", "-")
	if got := fmt.Sprint(w.calls); got != "map[Delete:2 Set:2]" {
		t.Errorf("the wrapper saw %s", got)
	}
}
