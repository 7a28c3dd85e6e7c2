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

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

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

func TestInvalidKeysAreRefused(t *testing.T) {
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

func TestCloseIsIdempotentAndLaterCallsAreSafe(t *testing.T) {
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

func TestCloseWaitsForAbandonedLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		n := both(t)
		abandon := func(took time.Duration) {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, _ = onceStringCtx(short, n, took.String(), returnsAfter(took, "v", nil))
		}
		abandon(3 * time.Second)
		start := time.Now()
		n.Close()
		if took := time.Since(start); took != 2*time.Second || len(log.matching("loader")) != 0 {
			t.Errorf("Close took %s, logged %q", took, log.lines)
		}
		abandon(time.Hour)
		start = time.Now()
		n.Close()
		if took := time.Since(start); took != 5*time.Second || len(log.matching("should end when its ctx does")) != 1 {
			t.Errorf("Close took %s, logged %q", took, log.lines)
		}
		time.Sleep(time.Hour)
	})
}

func TestGlobalStateIsRaceFree(t *testing.T) {
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

func TestAClosedCacheIsNotInTheStatistics(t *testing.T) {
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

// All calls run at the same time, on few keys and in every topology, for the race detector. A read must
// return a value that its key had at some time.
func TestAllCallsAtOnce(t *testing.T) {
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
