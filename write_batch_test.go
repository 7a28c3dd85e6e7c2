package cache_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// recKeys records the keys of the remote's calls. The returned function returns the calls of op since its
// last call, sorted. The keys of one call are joined by commas.
func recKeys(n *node) func(op string) string {
	var mu sync.Mutex
	calls := map[string][]string{}
	n.remote.SetFault(func(_ context.Context, op string, keys ...string) error {
		mu.Lock()
		defer mu.Unlock()
		calls[op] = append(calls[op], strings.Join(slices.Sorted(slices.Values(keys)), ","))
		return nil
	})
	return func(op string) string {
		mu.Lock()
		defer mu.Unlock()
		got := calls[op]
		calls[op] = nil
		slices.Sort(got)
		return strings.Join(got, " ")
	}
}

func TestMSetAndMDelete(t *testing.T) {
	two := map[int]string{1: "a", 2: "b"}
	for name, tt := range map[string]struct {
		opts              []cache.ItemOption
		inLocal, inRemote string // of id 1
		remoteTTL         time.Duration
		localTTL          time.Duration // zero: not looked at
		sets              string
	}{
		"no options":     {nil, "a", "a", time.Hour, time.Hour, "k:1,k:2"},
		"TTL":            {[]cache.ItemOption{cache.TTL(2500 * time.Millisecond)}, "a", "a", 2500 * time.Millisecond, 2500 * time.Millisecond, "k:1,k:2"},
		"TTL below zero": {[]cache.ItemOption{cache.TTL(-1)}, "a", "old", time.Minute, time.Hour, ""},
		"SkipLocal":      {[]cache.ItemOption{cache.SkipLocal(true)}, "-", "a", time.Hour, 0, "k:1,k:2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := &recEvents{}
				n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
				ids := cache.NewT[int, string](n.Cache)
				if err := n.Set(ctx, "k:1", cache.Value("old"), cache.TTL(time.Minute)); err != nil {
					t.Fatal(err)
				}
				calls := recKeys(n)
				events.take()
				n.counts.take()

				if err := ids.MSet(ctx, "k", two, tt.opts...); err != nil {
					t.Fatal(err)
				}
				n.expectStored(t, "k:1", tt.inLocal, tt.inRemote)
				if ttl, _ := n.remote.TTL("k:1"); ttl != tt.remoteTTL {
					t.Errorf("in the remote it lives for %s, want %s", ttl, tt.remoteTTL)
				}
				if got := calls("mset"); got != tt.sets || calls("set") != "" {
					t.Errorf("MSet stored %q by its calls of the remote, want %q by one", got, tt.sets)
				}
				if got := events.take(); got != "1:k:1,k:2" {
					t.Errorf("MSet told of %q", got)
				}
				if tt.localTTL > 0 && tt.localTTL < time.Minute {
					time.Sleep(tt.localTTL)
					n.expectStored(t, "k:1", "-", "-")
				}

				if err := ids.MDelete(ctx, "k", []int{2, 1}); err != nil {
					t.Fatal(err)
				}
				n.expectStored(t, "k:1", "-", "-")
				n.expectStored(t, "k:2", "-", "-")
				if got := calls("del"); got != "k:1,k:2" {
					t.Errorf("MDelete removed %q by its calls of the remote", got)
				}
				if got := events.take(); got != "5:k:1,k:2" {
					t.Errorf("MDelete told of %q", got)
				}
				if got := n.counts.take(); got != "" {
					t.Errorf("counted %q", got)
				}
			})
		})
	}
}

func TestMSetAndMDeleteInOneLevel(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...cache.Option) *node{"remote": onlyRemote, "local": onlyLocal} {
		t.Run(name, func(t *testing.T) {
			n := open(t)
			ids := cache.NewT[int, string](n.Cache)
			if err := ids.MSet(ctx, "k", map[int]string{1: "a", 2: ""}); err != nil {
				t.Fatal(err)
			}
			if got, err := ids.MGetWithErr(ctx, "k", []int{1, 2}, nil); err != nil || !maps.Equal(got, map[int]string{1: "a", 2: ""}) {
				t.Errorf("got %v, %v", got, err)
			}
			if err := ids.MDelete(ctx, "k", []int{1}); err != nil {
				t.Fatal(err)
			}
			if ids.Exists(ctx, "k", 1) || !ids.Exists(ctx, "k", 2) {
				t.Error("MDelete removed something else than it was asked to")
			}
		})
	}
}

func TestMSetAndMDeleteTakeNoOtherOptions(t *testing.T) {
	n := both(t)
	ids := cache.NewT[int, string](n.Cache)
	for name, opt := range map[string]cache.ItemOption{
		"Value": cache.Value("v"), "Do": never(t), "SetNX": cache.SetNX(true), "SetXX": cache.SetXX(true),
	} {
		if err := ids.MSet(ctx, "k", map[int]string{1: "a"}, opt); !errors.Is(err, cache.ErrInvalidOption) || !strings.Contains(err.Error(), "MSet") {
			t.Errorf("MSet with %s: %v", name, err)
		}
	}
	n.expectStored(t, "k:1", "-", "-")
}

func TestMSetAndMDeleteOfNothing(t *testing.T) {
	n := both(t)
	ids := cache.NewT[int, string](n.Cache)
	if err := errors.Join(ids.MSet(ctx, "k", nil), ids.MDelete(ctx, "k", nil)); err != nil {
		t.Error(err)
	}
	if n.remote.Calls("mset")+n.remote.Calls("del") > 0 {
		t.Error("the remote was called")
	}
}

func TestMSetAndMDeleteWithoutLevels(t *testing.T) {
	ids := cache.NewT[int, string](cache.New(cache.WithStatsDisabled(true)))
	for _, err := range []error{ids.MSet(ctx, "k", map[int]string{1: "a"}), ids.MDelete(ctx, "k", []int{1})} {
		if !errors.Is(err, cache.ErrRemoteLocalBothNil) {
			t.Errorf("got %v", err)
		}
	}
}

func TestMSetAndMDeleteWithANilContext(t *testing.T) {
	var none context.Context
	ids := cache.NewT[int, string](both(t).Cache)
	if err := errors.Join(ids.MSet(none, "k", map[int]string{1: "a"}), ids.MDelete(none, "k", []int{1})); err != nil {
		t.Error(err)
	}
}

// MSet reports the ids that cannot be stored, and stores the others.
func TestMSetReportsWhatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithCodec("json"), cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		n.remote.Put("k:unencodable", "old")
		err := cache.NewT[string, string](n.Cache).MSet(ctx, "k", map[string]string{
			"good": "v", "reserved": "*", "not text \xff": "v", "empty": "",
		})
		if !errors.Is(err, cache.ErrReservedValue) || !errors.Is(err, cache.ErrInvalidKey) {
			t.Errorf("got %v", err)
		}
		n.expectStored(t, "k:good", "v", "v")
		n.expectStored(t, "k:empty", "", "")
		n.expectStored(t, "k:unencodable", "-", "old")
		n.expectStored(t, "k:reserved", "-", "-")
		if got := events.take(); got != "1:k:empty,k:good" {
			t.Errorf("told of %q", got)
		}
		if n.remote.Calls("mset") != 1 {
			t.Errorf("%d calls of the remote", n.remote.Calls("mset"))
		}
		err = cache.NewT[string, any](n.Cache).MSet(ctx, "k", map[string]any{"number": 7, "unencodable": func() {}})
		if err == nil || !strings.Contains(err.Error(), `"k:unencodable"`) {
			t.Errorf("got %v", err)
		}
		n.expectStored(t, "k:number", "7", "7")
	})
}

func TestMDeleteReportsWhatCannotBeAKey(t *testing.T) {
	n := both(t)
	_ = n.Set(ctx, "k:good", cache.Value("v"))
	if err := cache.NewT[string, any](n.Cache).MDelete(ctx, "k", []string{"\xff", "good"}); !errors.Is(err, cache.ErrInvalidKey) {
		t.Errorf("got %v", err)
	}
	n.expectStored(t, "k:good", "-", "-")
}

// Ids that are there twice are one key. So are, for MDelete, those whose texts are the same.
func TestMSetAndMDeleteOfOneKeyTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		calls := recKeys(n)
		ids := &cache.T[any, string]{Cache: n.Cache}
		if err := ids.MSet(ctx, "k", map[any]string{1: "v", 2: "w"}); err != nil {
			t.Fatal(err)
		}
		n.expectStored(t, "k:1", "v", "v")
		n.expectStored(t, "k:2", "w", "w")
		if got := calls("mset"); got != "k:1,k:2" {
			t.Errorf("MSet stored %q", got)
		}
		if err := ids.MDelete(ctx, "k", []any{1, 2, "1", 1}); err != nil {
			t.Fatal(err)
		}
		if got := calls("del"); got != "k:1,k:2" {
			t.Errorf("MDelete removed %q", got)
		}
		if got := events.take(); got != "1:k:1,k:2 5:k:1,k:2" {
			t.Errorf("told of %q", got)
		}
	})
}

func TestMDeleteEndsRefreshing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(time.Second))
		loads := 0
		for _, key := range []string{"k:1", "k:2", "k:3"} {
			_ = n.Once(ctx, key, cache.Refresh(true), cache.Do(func(context.Context) (any, error) { loads++; return key, nil }))
		}
		if err := cache.NewT[int, string](n.Cache).MDelete(ctx, "k", []int{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		if n.TaskSize() != 0 {
			t.Errorf("%d tasks are left", n.TaskSize())
		}
		pass(5 * time.Second)
		if loads != 3 {
			t.Errorf("%d loads", loads)
		}
	})
}
