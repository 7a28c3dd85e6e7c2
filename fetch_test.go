package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// loads is a loader of one id; its error is for Fetch.
func loads(v string, err error) func(context.Context, int) (string, error) {
	return func(context.Context, int) (string, error) { return v, err }
}

// loadsAll is a loader of a batch. Ids above 90 do not exist, and all others have the value v.
func loadsAll(v string) func(context.Context, []int) (map[int]string, error) {
	return func(_ context.Context, ids []int) (map[int]string, error) {
		found := map[int]string{}
		for _, id := range ids {
			if id <= 90 {
				found[id] = v
			}
		}
		return found, nil
	}
}

func TestFetchAndMFetchStoreByTheirOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		opts              []cache.ItemOption
		inLocal, inRemote string
		ttl               time.Duration // of the remote
	}{
		"no options":     {nil, "v", "v", time.Hour},
		"TTL":            {[]cache.ItemOption{cache.TTL(1500 * time.Millisecond)}, "v", "v", 1500 * time.Millisecond},
		"TTL below zero": {[]cache.ItemOption{cache.TTL(-time.Second)}, "v", "-", 0},
		"SkipLocal":      {[]cache.ItemOption{cache.SkipLocal(true)}, "-", "v", time.Hour},
		"SkipLocal and TTL below zero": {
			[]cache.ItemOption{cache.SkipLocal(true), cache.TTL(-time.Second)}, "-", "-", 0},
		"options that are off": {
			[]cache.ItemOption{cache.SkipLocal(false), cache.SetNX(false), cache.SetXX(false), cache.Refresh(false), cache.TTL(0)}, "v", "v", time.Hour},
	} {
		for call, fetch := range map[string]func(ids *cache.T[int, string]) (string, error){
			"Fetch": func(ids *cache.T[int, string]) (string, error) {
				return ids.Fetch(ctx, "k", 1, loads("v", nil), tt.opts...)
			},
			"MFetch": func(ids *cache.T[int, string]) (string, error) {
				got, err := ids.MFetch(ctx, "k", []int{1, 99}, loadsAll("v"), tt.opts...)
				return got[1], err
			},
		} {
			t.Run(call+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := both(t)
					if v, err := fetch(cache.NewT[int, string](n.Cache)); v != "v" || err != nil {
						t.Errorf("got %q, %v", v, err)
					}
					n.expectStored(t, "k:1", tt.inLocal, tt.inRemote)
					if call == "MFetch" { // the placeholder is stored in the same levels
						n.expectStored(t, "k:99", strings.Replace(tt.inLocal, "v", "*", 1), strings.Replace(tt.inRemote, "v", "*", 1))
					}
					if ttl, _ := n.remote.TTL("k:1"); ttl != tt.ttl {
						t.Errorf("in the remote it lives for %s, want %s", ttl, tt.ttl)
					}
					if tt.ttl > 0 && tt.ttl < time.Hour {
						time.Sleep(tt.ttl)
						n.expectStored(t, "k:1", "-", "-")
					}
				})
			})
		}
	}
}

// A condition decides whether the value is stored. The caller gets the value in both cases.
func TestFetchOnACondition(t *testing.T) {
	for name, tt := range map[string]struct {
		opt               cache.ItemOption
		there             bool // when the value is stored
		inLocal, inRemote string
	}{
		"SetNX of what is absent":  {cache.SetNX(true), false, "loaded", "loaded"},
		"SetNX of what is present": {cache.SetNX(true), true, "-", "there"},
		"SetXX of what is absent":  {cache.SetXX(true), false, "-", "-"},
		"SetXX of what is present": {cache.SetXX(true), true, "loaded", "loaded"},
	} {
		t.Run(name, func(t *testing.T) {
			n := both(t)
			v, err := cache.NewT[int, string](n.Cache).Fetch(ctx, "k", 1, func(context.Context, int) (string, error) {
				if tt.there { // another node stored it meanwhile
					n.remote.Put("k:1", "there")
				}
				return "loaded", nil
			}, tt.opt)
			if v != "loaded" || err != nil {
				t.Errorf("got %q, %v", v, err)
			}
			n.expectStored(t, "k:1", tt.inLocal, tt.inRemote)
		})
	}
}

func TestFetchAndMFetchReadByTheirOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []cache.ItemOption
		want string
	}{
		"no options": {nil, "local"},
		"SkipLocal":  {[]cache.ItemOption{cache.SkipLocal(true)}, "remote"},
	} {
		t.Run(name, func(t *testing.T) {
			n := both(t)
			ids := cache.NewT[int, string](n.Cache)
			n.local.Set("k:1", []byte("local"))
			n.remote.Put("k:1", "remote")
			if v, err := ids.Fetch(ctx, "k", 1, nil, tt.opts...); v != tt.want || err != nil {
				t.Errorf("Fetch: %q, %v, want %q", v, err, tt.want)
			}
			if got, err := ids.MFetch(ctx, "k", []int{1}, nil, tt.opts...); got[1] != tt.want || err != nil {
				t.Errorf("MFetch: %q, %v, want %q", got[1], err, tt.want)
			}
			n.expectStored(t, "k:1", "local", "remote")
		})
	}
}

func TestFetchAndMFetchRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(time.Second), cache.WithStopRefreshAfterLastAccess(10*time.Second))
		ids := cache.NewT[int, string](n.Cache)
		var version atomic.Int64
		var batches atomic.Int64 // calls of fn for more than one id
		one := func(_ context.Context, id int) (string, error) { return fmt.Sprint(id, ".", version.Load()), nil }
		many := func(_ context.Context, ids []int) (map[int]string, error) {
			if len(ids) > 1 {
				batches.Add(1)
			}
			found := map[int]string{}
			for _, id := range ids {
				if id <= 90 {
					found[id] = fmt.Sprint(id, ".", version.Load())
				}
			}
			return found, nil
		}
		if v, err := ids.Fetch(ctx, "k", 1, one, cache.Refresh(true)); v != "1.0" || err != nil {
			t.Errorf("Fetch: %q, %v", v, err)
		}
		got, err := ids.MFetch(ctx, "k", []int{2, 3, 2, 99}, many, cache.Refresh(true))
		if err != nil || !maps.Equal(got, map[int]string{2: "2.0", 3: "3.0"}) {
			t.Errorf("MFetch: %v, %v", got, err)
		}
		if _, err := ids.MFetch(ctx, "k", []int{4}, nil, cache.Refresh(true)); !errors.Is(err, cache.ErrCacheMiss) {
			t.Errorf("MFetch without a loader: %v", err)
		}
		if n.TaskSize() != 4 {
			t.Errorf("%d keys are refreshed, want 1, 2, 3 and 99", n.TaskSize())
		}
		version.Add(1)
		pass(3 * time.Second)
		for key, want := range map[string]string{"k:1": "1.1", "k:2": "2.1", "k:3": "3.1", "k:99": "*"} {
			n.expectStored(t, key, want, want)
		}
		if batches.Load() != 1 {
			t.Errorf("%d batches were loaded, want one, and the refreshes id by id", batches.Load())
		}
		// A hit keeps the refreshing going.
		for range 6 {
			pass(4 * time.Second)
			_, _ = ids.Fetch(ctx, "k", 1, one, cache.Refresh(true))
			_, _ = ids.MFetch(ctx, "k", []int{2}, many, cache.Refresh(true))
		}
		if n.TaskSize() != 2 {
			t.Errorf("%d keys are refreshed, want 1 and 2", n.TaskSize())
		}
	})
}

func TestFetchAndMFetchTakeNoOtherOptions(t *testing.T) {
	n := both(t, cache.WithRefreshDuration(time.Second))
	wrapped := &countingCache{Cache: n.Cache, calls: map[string]int{}}
	for _, c := range []cache.Cache{n.Cache, wrapped} {
		ids := cache.NewT[int, string](c)
		mustNot := func(context.Context, int) (string, error) { t.Error("the loader was called"); return "", nil }
		for name, opt := range map[string]cache.ItemOption{"Value": cache.Value(new(string)), "Do": never(t)} {
			if v, err := ids.Fetch(ctx, "k", 1, mustNot, opt, cache.Refresh(true)); v != "" || !errors.Is(err, cache.ErrInvalidOption) {
				t.Errorf("Fetch with %s: %q, %v", name, v, err)
			}
		}
		for name, opt := range map[string]cache.ItemOption{
			"Value": cache.Value(new(string)), "Do": never(t), "SetNX": cache.SetNX(true), "SetXX": cache.SetXX(true),
		} {
			if got, err := ids.MFetch(ctx, "k", []int{1}, nil, opt, cache.Refresh(true)); got == nil || len(got) > 0 || !errors.Is(err, cache.ErrInvalidOption) {
				t.Errorf("MFetch with %s: %v, %v", name, got, err)
			}
		}
	}
	if n.remote.Calls("get")+n.remote.Calls("mget") > 0 || n.TaskSize() > 0 || len(wrapped.calls) > 0 {
		t.Error("something was read, or is refreshed")
	}
}

func TestFetchOfWhatIsNotThere(t *testing.T) {
	for store := range stores {
		t.Run(store, func(t *testing.T) {
			n := overStore(t, store)
			ids := cache.NewT[int, string](n.Cache)
			for name, opts := range map[string][]cache.ItemOption{"": nil, " with SkipLocal": {cache.SkipLocal(true)}, " with Refresh": {cache.Refresh(true)}} {
				if v, err := ids.Fetch(ctx, "k", 1, nil, opts...); v != "" || !errors.Is(err, cache.ErrCacheMiss) {
					t.Errorf("without a loader%s: %q, %v", name, v, err)
				}
				if v, err := ids.Fetch(ctx, "k", 1, loads("half", errBoom), opts...); v != "" || !errors.Is(err, errBoom) {
					t.Errorf("with a loader that fails%s: %q, %v", name, v, err)
				}
			}
			n.expectStored(t, "k:1", "-", "-")
			for range 2 { // loaded, then found
				if v, err := ids.Fetch(ctx, "k", 1, loads("half", cache.ErrNotFound)); v != "" || !errors.Is(err, cache.ErrNotFound) {
					t.Errorf("of what does not exist: %q, %v", v, err)
				}
			}
			n.expectStored(t, "k:1", "*", "*")
		})
	}
}

func TestFetchWithoutLevelsAndWithBadKeys(t *testing.T) {
	none := cache.NewT[int, string](cache.New(cache.WithStatsDisabled(true), cache.WithRefreshDuration(time.Second)))
	for _, opts := range [][]cache.ItemOption{nil, {cache.SkipLocal(true)}, {cache.Refresh(true)}} {
		if _, err := none.Fetch(ctx, "k", 1, loads("v", nil), opts...); !errors.Is(err, cache.ErrRemoteLocalBothNil) {
			t.Errorf("Fetch without levels: %v", err)
		}
		if got, err := none.MFetch(ctx, "k", []int{1}, loadsAll("v"), opts...); got == nil || !errors.Is(err, cache.ErrRemoteLocalBothNil) {
			t.Errorf("MFetch without levels: %v, %v", got, err)
		}
		for store := range stores {
			n := overStore(t, store, cache.WithRefreshDuration(time.Second), cache.WithSeparatorDisabled(true))
			texts := cache.NewT[string, string](n.Cache)
			for _, id := range []string{"", "\xff"} {
				if _, err := texts.Fetch(ctx, "", id, nil, opts...); !errors.Is(err, cache.ErrInvalidKey) {
					t.Errorf("Fetch of %q: %v", id, err)
				}
			}
			got, err := texts.MFetch(ctx, "", []string{"a", "", "\xff", ""}, func(_ context.Context, ids []string) (map[string]string, error) {
				return map[string]string{"a": "v", "": "v", "\xff": "v"}, nil
			}, opts...)
			if !errors.Is(err, cache.ErrInvalidKey) || !maps.Equal(got, map[string]string{"a": "v"}) {
				t.Errorf("MFetch: %v, %v", got, err)
			}
			if n.TaskSize() > 1 {
				t.Errorf("%d keys are refreshed, want one at most", n.TaskSize())
			}
		}
	}
	if none.TaskSize() > 0 {
		t.Errorf("%d keys of a cache without levels are refreshed", none.TaskSize())
	}
}

func TestFetchWithANilContext(t *testing.T) {
	var none context.Context
	for _, opts := range [][]cache.ItemOption{nil, {cache.SkipLocal(true)}} {
		n := both(t)
		for c := range map[cache.Cache]bool{n.Cache: true, &countingCache{Cache: n.Cache, calls: map[string]int{}}: true} {
			ids := cache.NewT[int, string](c)
			for range 2 {
				if v, err := ids.Fetch(none, "k", 1, loads("v", nil), opts...); v != "v" || err != nil {
					t.Errorf("Fetch: %q, %v", v, err)
				}
				if got, err := ids.MFetch(none, "k", []int{2}, loadsAll("v"), opts...); got[2] != "v" || err != nil {
					t.Errorf("MFetch: %v, %v", got, err)
				}
			}
		}
	}
}
