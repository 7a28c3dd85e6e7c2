package cache_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// mapLocal is a user's own store. It has the three methods of Local and no others.
type mapLocal struct {
	mu sync.Mutex
	m  map[string][]byte // guarded by mu
}

func (l *mapLocal) Set(key string, data []byte) { l.mu.Lock(); defer l.mu.Unlock(); l.m[key] = data }

func (l *mapLocal) Get(key string) ([]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.m[key]
	return d, ok
}

func (l *mapLocal) Del(key string) { l.mu.Lock(); defer l.mu.Unlock(); delete(l.m, key) }

var _ local.Local = (*mapLocal)(nil)

// prefixing embeds a store and has other keys in it.
type prefixing struct{ *local.Otter }

func (p prefixing) Set(key string, data []byte)   { p.Otter.Set("mine:"+key, data) }
func (p prefixing) Get(key string) ([]byte, bool) { return p.Otter.Get("mine:" + key) }
func (p prefixing) Del(key string)                { p.Otter.Del("mine:" + key) }

func TestACacheOverTinyLFUHoldsItsCapacity(t *testing.T) {
	s := local.NewTinyLFU(500, time.Hour)
	defer s.Close()
	c := cache.New(cache.WithLocal(s), cache.WithStatsDisabled(true))
	defer c.Close()
	for i := range 500 {
		_ = c.Set(ctx, fmt.Sprint(i), cache.Value(i))
	}
	found := 0
	for i := range 500 {
		if c.Exists(ctx, fmt.Sprint(i)) {
			found++
		}
	}
	if found < 475 {
		t.Errorf("of 500 entries in a store for 500, %d are there", found)
	}
}

func TestCachesOnTheSharedArenaDoNotMix(t *testing.T) {
	one := cache.New(cache.WithLocal(local.NewFreeCache(local.MB, time.Hour)), cache.WithStatsDisabled(true))
	two := cache.New(cache.WithLocal(local.NewFreeCache(local.MB, time.Hour)), cache.WithStatsDisabled(true))
	defer one.Close()
	defer two.Close()
	_ = one.Set(ctx, "k", cache.Value("one"))
	if err := two.Get(ctx, "k", nil); !errors.Is(err, cache.ErrCacheMiss) {
		t.Errorf("the other cache: %v", err)
	}
	_ = two.Delete(ctx, "k")
	if s, err := onceString(one, "k"); s != "one" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	// An update that does not fit removes the old value.
	small := local.NewArena(512 * local.KB).NewFreeCache(time.Hour)
	c := cache.New(cache.WithLocal(small), cache.WithStatsDisabled(true))
	defer c.Close()
	_ = c.Set(ctx, "k", cache.Value("old"))
	_ = c.Set(ctx, "k", cache.Value(strings.Repeat("x", 10_000)))
	if err := c.Get(ctx, "k", nil); !errors.Is(err, cache.ErrCacheMiss) {
		t.Errorf("after an update that does not fit: %v", err)
	}
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

func TestSetWithSkipLocalRemovesTheOldLocalEntry(t *testing.T) {
	n := both(t)
	_ = n.Set(ctx, "k", cache.Value("old"))
	if err := n.Set(ctx, "k", cache.Value("new"), cache.SkipLocal(true)); err != nil {
		t.Fatal(err)
	}
	n.expectStored(t, "k", "-", "new")
}

func TestAStoreWithoutTTLsWorks(t *testing.T) {
	n := &node{local: &mapLocal{m: map[string][]byte{}}, remote: remotetest.NewMemory(), counts: &recStats{}}
	n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithRemote(n.remote)})
	if err := n.Set(ctx, "k", cache.Value("v"), cache.TTL(time.Second)); err != nil {
		t.Fatal(err)
	}
	n.expectStored(t, "k", "v", "v")
}

func TestPlaceholdersOfTheRemoteAreKeptInLocal(t *testing.T) {
	reads := map[string]func(n *node) error{
		"Get":  func(n *node) error { return n.Get(ctx, "k", nil) },
		"Once": func(n *node) error { return n.Once(ctx, "k", never(t)) },
		"MGet": func(n *node) error {
			got, err := cache.NewT[string, string](n.Cache).MGetWithErr(ctx, "", []string{"k"}, nil)
			if err == nil && len(got) == 0 {
				return cache.ErrNotFound
			}
			return fmt.Errorf("got %v, %w", got, err)
		},
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := both(t, cache.WithSeparatorDisabled(true))
				_ = n.remote.SetEX(ctx, "k", "*", 900*time.Millisecond)
				time.Sleep(400 * time.Millisecond)
				if err := read(n); !errors.Is(err, cache.ErrNotFound) {
					t.Errorf("the first read: %v", err)
				}
				n.expectStored(t, "k", "*", "*")
				before := n.remote.Calls("get") + n.remote.Calls("mget")
				if err := read(n); !errors.Is(err, cache.ErrNotFound) {
					t.Errorf("the second read: %v", err)
				}
				if n.remote.Calls("get")+n.remote.Calls("mget") != before {
					t.Error("the second read asked the remote")
				}
				if got := n.localLifetime(t, "k"); got != 500*time.Millisecond {
					t.Errorf("local kept it for %s, want 500ms", got)
				}
			})
		})
	}
}

// A store that embeds one of ours has all methods of it. T must still call the Get of the outer store.
func TestAStoreThatEmbedsOneOfOursIsReadByItsOwnGet(t *testing.T) {
	inner := stores["Otter"](t).(*local.Otter)
	inner.Set("k:1", []byte("of somebody else"))
	c := cache.New(cache.WithLocal(prefixing{inner}), cache.WithStatsDisabled(true))
	defer c.Close()
	texts := cache.NewT[int, string](c)
	inner.Set("mine:k:1", []byte("mine"))
	if v, err := texts.Get(ctx, "k", 1, nil); v != "mine" || err != nil {
		t.Errorf("Get returned %q, %v", v, err)
	}
	if m := texts.MGet(ctx, "k", []int{1}, nil); m[1] != "mine" {
		t.Errorf("MGet returned %v", m)
	}
}
