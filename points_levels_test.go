package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// Levels: the points 16 to 19. What a store promises by itself (16: capacity, memory,
// goroutines; 17: FreeCaches apart from each other) is tested in package local.

func TestPoint16ACacheOverTinyLFUHoldsWhatItSays(t *testing.T) {
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

func TestPoint17CachesOnTheSharedArenaDoNotMix(t *testing.T) {
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

func TestPoint18OneBadKeyDoesNotSpoilABatch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		c := cache.New(cache.WithRemote(remote.NewGoRedisV9Adapter(s.Client)), cache.WithLocal(stores["TinyLFU"](t)), cache.WithStatsDisabled(true))
		defer c.Close()
		users := cache.NewT[int, user](c)
		for _, id := range []int{1, 3} {
			if err := users.Set(ctx, "u", id, userOf(id)); err != nil {
				t.Fatal(err)
			}
			c.DeleteFromLocalCache(fmt.Sprint("u:", id))
		}
		if err := s.Client.LPush(ctx, "u:2", "x").Err(); err != nil {
			t.Fatal(err)
		}
		var asked []int
		got, err := users.MGetWithErr(ctx, "u", []int{1, 2, 3}, func(_ context.Context, ids []int) (map[int]user, error) {
			asked = ids
			return map[int]user{2: userOf(2)}, nil
		})
		if len(got) != 3 || got[1].ID != 1 || got[2].ID != 2 || got[3].ID != 3 || fmt.Sprint(asked) != "[2]" {
			t.Errorf("got %v, asked the loader for %v", got, asked)
		}
		if err == nil || !strings.Contains(err.Error(), "u:2") {
			t.Errorf("the error is %v, want the bad key in it", err)
		}
		if again, err := users.MGetWithErr(ctx, "u", []int{1, 2, 3}, nil); len(again) != 3 || err != nil {
			t.Errorf("the second time: %v, %v", again, err)
		}
	})
}

func TestPoint19RedisTroubleIsVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		n := both(t, cache.WithName("shop"))
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		for i := range 100 {
			if _, err := onceString(n, fmt.Sprint("k", i), returns("v", nil)); err != nil {
				t.Error(err)
			}
		}
		if got := log.matching("boom"); len(got) != 1 || !strings.Contains(got[0], "cache shop") || !strings.HasPrefix(got[0], "warn") {
			t.Errorf("200 failures in no time were logged as %q", got)
		}
		time.Sleep(11 * time.Second)
		_ = n.Delete(ctx, "k")
		if got := log.matching("boom"); len(got) != 2 || !strings.Contains(got[1], "199 more") {
			t.Errorf("the next line is %q", got)
		}
		if got := n.counts.remoteErrors(); got != 201 {
			t.Errorf("%d failures were counted, want 201", got)
		}
		got, err := cache.NewT[int, int](n.Cache).MGetWithErr(ctx, "m", []int{1}, func(context.Context, []int) (map[int]int, error) {
			return map[int]int{1: 1}, nil
		})
		if got[1] != 1 || !errors.Is(err, errBoom) {
			t.Errorf("MGetWithErr: %v, %v", got, err)
		}
	})
}

func TestPoint19ACallersOwnCancelIsNoRedisTrouble(t *testing.T) {
	log := captureLog(t)
	n := both(t)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if err := n.Get(ctx, "k", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	if n.counts.remoteErrors() != 0 || len(log.matching("remote")) != 0 {
		t.Errorf("counted %d, logged %q", n.counts.remoteErrors(), log.lines)
	}
}

func TestPoint20CloseIsIdempotentAndLaterCallsAreSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle), cache.WithRefreshDuration(time.Second))
		_, _ = onceString(n, "k", returns("v", nil), cache.Refresh(true))
		if n.TaskSize() != 1 {
			t.Errorf("%d tasks", n.TaskSize())
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(n.Close)
		}
		wg.Wait()
		if n.TaskSize() != 0 {
			t.Errorf("%d tasks after Close", n.TaskSize())
		}
		if err := n.Set(ctx, "k", cache.Value("w")); err != nil {
			t.Error(err)
		}
		if s, err := onceString(n, "k"); s != "w" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		if s, err := onceString(n, "l", returns("v", nil), cache.Refresh(true)); s != "v" || err != nil || n.TaskSize() != 0 {
			t.Errorf("got %q, %v; %d tasks", s, err, n.TaskSize())
		}
		if err := n.Delete(ctx, "k"); err != nil {
			t.Error(err)
		}
	})
}

func TestPoint23NothingGlobalIsUnsynchronised(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				s := local.NewFreeCache(local.MB, time.Hour)
				c := cache.New(cache.WithLocal(s), cache.WithCodec("json"))
				_ = c.Set(ctx, "k", cache.Value(userOf(1)))
				encoding.RegisterCodec(encoding.GetCodec("json"))
				logger.SetDefaultLogger(discard{})
				logger.SetLevel(logger.LevelInfo)
				_ = stats.NewHandles(false, stats.NewStatsLogger("x"))
				c.Close()
			}
		})
	}
	wg.Wait()
}

func TestPoint23AClosedCacheIsNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		s := local.NewTinyLFU(10, 0)
		defer s.Close()
		open := cache.New(cache.WithName("open"), cache.WithLocal(s))
		closed := cache.New(cache.WithName("closed"), cache.WithLocal(s))
		silent := cache.New(cache.WithName("silent"), cache.WithLocal(s), cache.WithStatsDisabled(true))
		defer open.Close()
		defer silent.Close()
		for _, c := range []cache.Cache{open, closed, silent} {
			c.Exists(ctx, "k")
		}
		closed.Close()
		time.Sleep(61 * time.Second)
		got := log.matching("hit_ratio")
		if len(got) != 1 || !strings.Contains(got[0], "open_local") || strings.Contains(got[0], "closed") || strings.Contains(got[0], "silent") {
			t.Errorf("logged %q", got)
		}
	})
}

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

func TestPoint24TWorksOverAWrappedCache(t *testing.T) {
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

func TestPoint24TWorksOverAMock(t *testing.T) {
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

// Every call at once on few keys, on every topology, for the race detector. What is read
// must be something that its key has had.
func TestEverythingAtOnce(t *testing.T) {
	s := redistest.Embedded(t)
	adapter := remote.NewGoRedisV9Adapter(s.Client)
	caches := map[string][]cache.Option{
		"both":   {cache.WithRemote(adapter), cache.WithLocal(stores["TinyLFU"](t))},
		"remote": {cache.WithRemote(adapter)},
		"local":  {cache.WithLocal(stores["FreeCache"](t))},
	}
	for name, opts := range caches {
		t.Run(name, func(t *testing.T) {
			c := cache.New(append(opts, cache.WithStatsDisabled(true), cache.WithSyncLocal(true), cache.WithEventHandler(func(*cache.Event) {}),
				cache.WithRefreshDuration(time.Second))...)
			defer c.Close()
			strs := cache.NewT[int, string](c)
			value := func(id int) string { return fmt.Sprintf("k:%d.%d", id, rand.IntN(1000)) }
			check := func(id int, v string) {
				if !strings.HasPrefix(v, fmt.Sprintf("k:%d.", id)) {
					t.Errorf("%d is %q", id, v)
				}
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 200 {
						id := rand.IntN(5)
						key := fmt.Sprint("k:", id)
						ctx, cancel := context.WithCancel(ctx)
						if rand.IntN(8) == 0 {
							go cancel()
						}
						load := func(context.Context) (any, error) {
							if rand.IntN(8) == 0 {
								return nil, cache.ErrNotFound
							}
							return value(id), nil
						}
						switch rand.IntN(13) {
						case 9:
							var v string
							if c.GetSkippingLocal(ctx, key, &v) == nil {
								check(id, v)
							}
						case 10:
							_ = strs.Set(ctx, "k", id, value(id))
							strs.Exists(ctx, "k", id)
							_ = strs.Delete(ctx, "k", id)
						case 11:
							_ = c.Set(ctx, key, cache.Value(value(id)), cache.SetXX(true), cache.TTL(time.Duration(rand.IntN(3)-1)*time.Second))
							if v, err := strs.Get(ctx, "k", id, func(context.Context, int) (string, error) { panic("boom") }); err == nil {
								check(id, v)
							}
						case 12:
							for id, v := range strs.MGet(ctx, "k", []int{0, 1, 2, 3, 4}, func(context.Context, []int) (map[int]string, error) { return nil, errBoom }) {
								check(id, v)
							}
							if rand.IntN(20) == 0 {
								c.Close() // later calls work
							}
						case 0:
							_ = c.Set(ctx, key, cache.Value(value(id)), cache.SetNX(rand.IntN(2) == 0))
						case 1:
							_ = c.Set(ctx, key, cache.Do(load))
						case 2:
							_ = c.Delete(ctx, key)
						case 3:
							c.DeleteFromLocalCache(key)
						case 4:
							var v string
							if c.Get(ctx, key, &v) == nil {
								check(id, v)
							}
						case 5, 6:
							if v, err := onceStringCtx(ctx, c, key, cache.Do(load), cache.Refresh(rand.IntN(2) == 0), cache.SkipLocal(rand.IntN(4) == 0)); err == nil {
								check(id, v)
							}
						case 7:
							got, _ := strs.MGetWithErr(ctx, "k", []int{id, (id + 1) % 5, (id + 2) % 5}, func(_ context.Context, ids []int) (map[int]string, error) {
								found := map[int]string{}
								for _, id := range ids {
									found[id] = value(id)
								}
								return found, nil
							})
							for id, v := range got {
								check(id, v)
							}
						case 8:
							c.Exists(ctx, key)
							c.TaskSize()
						}
						cancel()
					}
				})
			}
			wg.Wait()
			last := value(0)
			if err := c.Set(ctx, "k:0", cache.Value(last)); err != nil {
				t.Fatal(err)
			}
			if v, err := onceString(c, "k:0"); v != last || err != nil {
				t.Errorf("after the last Set the key is %q, %v, want %q", v, err, last)
			}
		})
	}
}

// The embedded Redis dies and comes back: calls go on, and the remote is used again.
func TestARemoteThatComesBack(t *testing.T) {
	n := both(t)
	broken := true
	n.remote.SetFault(func(context.Context, string, ...string) error {
		if broken {
			return redis.ErrClosed
		}
		return nil
	})
	if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
		t.Errorf("while it is down: %q, %v", s, err)
	}
	broken = false
	if s, err := onceString(n, "l", returns("w", nil)); s != "w" || err != nil {
		t.Errorf("when it is back: %q, %v", s, err)
	}
	n.expectStored(t, "l", "w", "w")
}
