package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/racing"
)

// short returns an Info in one line.
func short(i cache.Info) string {
	s := fmt.Sprintf("%s/%s", i.Source, i.Reason)
	if i.Stale {
		s += " stale"
	}
	if i.Stored {
		s += " stored"
	}
	if i.Err != nil {
		s += " err"
	}
	return fmt.Sprintf("%s ttl %s age %s waited %s loaded %s", s, i.TTL, i.Age, i.Waited, i.Loaded)
}

func TestExplainSaysWhereAValueComesFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithStaleOnError(maxStale))
		users := cache.NewT[int, user](n.Cache)
		var info cache.Info
		once := func(want string, opts ...cache.ItemOption) {
			t.Helper()
			info = cache.Info{Err: errBoom}
			_, _ = onceString(n, "k", append(opts, cache.TTL(lifeOfStale), cache.Explain(&info))...)
			if got := short(info); got != want {
				t.Errorf("Once: got  %s\nwant %s", got, want)
			}
		}
		fetch := func(want string, err error, opts ...cache.ItemOption) {
			t.Helper()
			info = cache.Info{Err: errBoom}
			_, _ = users.Fetch(ctx, "u", 1, func(context.Context, int) (user, error) {
				time.Sleep(2 * time.Second)
				return userOf(1), err
			}, append(opts, cache.TTL(lifeOfStale), cache.Explain(&info))...)
			if got := short(info); got != want {
				t.Errorf("Fetch: got  %s\nwant %s", got, want)
			}
		}
		once("loader/miss stored ttl 10s age 0s waited 1s loaded 1s", returnsAfter(time.Second, "v", nil))
		pass(2 * time.Second)
		once("local/ ttl 8s age 2s waited 0s loaded 0s")
		once("remote/skipped ttl 0s age 0s waited 0s loaded 0s", cache.SkipLocal(true)) // its TTL is not asked for
		n.DeleteFromLocalCache("k")
		once("remote/miss ttl 8s age 2s waited 0s loaded 0s")
		pass(10 * time.Second)
		once("local/expired stale err ttl -3s age 13s waited 1s loaded 0s", returnsAfter(time.Second, "", errBoom))
		once("local/expired stale ttl -3s age 13s waited 0s loaded 0s", never(t)) // throttled
		once("loader/expired stored ttl 10s age 0s waited 0s loaded 0s", cache.Do(func(context.Context) (any, error) { return "v", nil }), cache.StaleOnError(-1))
		_ = n.Delete(ctx, "k")
		once("/skipped err ttl 0s age 0s waited 0s loaded 0s", cache.SkipLocal(true), cache.Do(func(context.Context) (any, error) { return nil, errBoom }))

		fetch("loader/miss stored ttl 10s age 0s waited 2s loaded 2s", nil)
		fetch("local/ ttl 10s age 0s waited 0s loaded 0s", nil)
		fetch("local/ ttl 10s age 0s waited 0s loaded 0s", nil) // its value is kept now
		pass(11 * time.Second)
		fetch("local/expired stale err ttl -3s age 13s waited 2s loaded 0s", errBoom)

		_ = n.remote.SetEX(ctx, "k", "\x00", time.Minute)
		n.DeleteFromLocalCache("k")
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		once("loader/unreachable err ttl 0s age 0s waited 0s loaded 0s", returns("v", nil))
		n.remote.SetFault(nil)
		if err := n.Set(ctx, "u:1", cache.Value("not a user")); err != nil {
			t.Error(err)
		}
		fetch("loader/undecodable stored ttl 10s age 0s waited 2s loaded 2s", nil)
	})
}

func TestExplainTellsOfOtherCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = onceString(n, "k", returnsAfter(2*time.Second, "v", nil))
		}()
		pass(time.Second)
		var info cache.Info
		if _, err := onceString(n, "k", never(t), cache.Explain(&info)); err != nil {
			t.Error(err)
		}
		<-done
		if got, want := short(info), "caller/miss stored ttl 1h0m0s age 0s waited 1s loaded 2s"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := info.CacheStatus("users"), "users; fwd=miss; ttl=3600; stored; collapsed; detail=caller-miss"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestExplainTellsOfTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, guards()...)
		trip(t, n)
		var info cache.Info
		if _, err := onceString(n, "k", returns("v", nil), cache.Explain(&info)); err != nil {
			t.Error(err)
		}
		if info.Source != cache.SourceLoader || info.Reason != cache.ReasonBreaker || !errors.Is(info.Err, cache.ErrRemoteUnavailable) || info.Stored {
			t.Errorf("got %+v", info)
		}
	})
}

func TestExplainEachOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithStaleOnError(maxStale))
		users := cache.NewT[int, user](n.Cache)
		var infos [5]string
		read := func(load func(ids []int) (map[int]user, error), opts ...cache.ItemOption) {
			infos = [5]string{}
			_, _ = users.MFetch(ctx, "u", []int{1, 2, 3, 4, 1}, func(_ context.Context, ids []int) (map[int]user, error) { return load(ids) },
				append(opts, cache.TTL(lifeOfStale), cache.ExplainEach(func(i int, info cache.Info) { infos[i] = short(info) }))...)
		}
		expect := func(want ...string) {
			t.Helper()
			for i, w := range append(want, want[0]) {
				if infos[i] != w {
					t.Errorf("%d: got  %s\nwant %s", i, infos[i], w)
				}
			}
		}
		loaded, local := "loader/miss stored ttl 10s age 0s waited 1s loaded 1s", "local/ ttl 9s age 1s waited 0s loaded 0s"
		absent := "loader/miss stored ttl 1m1s age 0s waited 1s loaded 1s"
		n.Close()
		n = both(t, cache.WithStaleOnError(maxStale), cache.WithOffset(1), cache.WithNotFoundExpiry(61*time.Second))
		users = cache.NewT[int, user](n.Cache)
		read(func([]int) (map[int]user, error) { time.Sleep(time.Second); return versioned("a", 1, 2, 3), nil })
		expect(loaded, loaded, loaded, absent)
		n.DeleteFromLocalCache("u:2")
		_ = n.Delete(ctx, "u:3")
		read(func([]int) (map[int]user, error) { time.Sleep(time.Second); return nil, errBoom })
		expect(local, "remote/miss ttl 10s age 0s waited 1s loaded 0s", "/miss err ttl 0s age 0s waited 1s loaded 1s", "local/ ttl 1m0s age 1s waited 0s loaded 0s")
		pass(lifeOfStale + time.Second)
		read(func([]int) (map[int]user, error) { return versioned("b", 3), errBoom })
		expect("local/expired stale err ttl -2s age 12s waited 0s loaded 0s", "local/expired stale err ttl -2s age 12s waited 0s loaded 0s",
			"loader/miss err ttl 0s age 0s waited 0s loaded 0s", "local/ ttl 49s age 12s waited 0s loaded 0s")
	})
}

func TestCacheStatus(t *testing.T) {
	for want, test := range map[string]struct {
		name string
		info cache.Info
	}{
		"c; hit; ttl=8; detail=local":                 {"c", cache.Info{Source: cache.SourceLocal, TTL: 8500 * time.Millisecond}},
		"c; hit; ttl=-3; detail=local-expired":        {"c", cache.Info{Source: cache.SourceLocal, Stale: true, TTL: -2500 * time.Millisecond, Reason: cache.ReasonExpired}},
		"c; hit; ttl=60; detail=remote-miss":          {"c", cache.Info{Source: cache.SourceRemote, TTL: time.Minute, Reason: cache.ReasonMiss}},
		"c; fwd=stale; stored; detail=loader-expired": {"c", cache.Info{Source: cache.SourceLoader, Stored: true, Reason: cache.ReasonExpired}},
		"c; fwd=bypass; detail=loader-breaker":        {"c", cache.Info{Source: cache.SourceLoader, Reason: cache.ReasonBreaker}},
		"c; fwd=miss; collapsed; detail=node-miss":    {"c", cache.Info{Source: cache.SourceNode, Reason: cache.ReasonMiss}},
		`"my \"cache\" ??"; fwd=miss; detail=miss`:    {"my \"cache\" \u00e4", cache.Info{Reason: cache.ReasonMiss}},
		`""; fwd=miss`:   {"", cache.Info{}},
		`"1c"; fwd=miss`: {"1c", cache.Info{}},
		"*a-b_c.d:e/f; fwd=miss; detail=loader-undecodable": {"*a-b_c.d:e/f", cache.Info{Source: cache.SourceLoader, Reason: cache.ReasonUndecodable}},
	} {
		if got := test.info.CacheStatus(test.name); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestAHitWithExplainAllocatesNothing(t *testing.T) {
	if racing.Enabled {
		t.Skip("skipped: the race detector allocates")
	}
	for store := range stores {
		n := overStore(t, store)
		users := cache.NewT[int, int](n.Cache)
		var info cache.Info
		var v int
		load := func(context.Context, int) (int, error) { return 7, nil }
		plain, explained := []cache.ItemOption{cache.Value(&v)}, []cache.ItemOption{cache.Value(&v), cache.Explain(&info)}
		_, _ = users.Fetch(ctx, "u", 1, load)
		once := func(opts []cache.ItemOption) float64 {
			return testing.AllocsPerRun(100, func() { _ = n.Once(ctx, "u:1", opts...) })
		}
		if a, b := once(plain), once(explained); a != b && store != "FreeCache" { // which copies what it returns
			t.Errorf("%s: Once: %v allocations, and %v with Explain", store, a, b)
		}
		if store == "FreeCache" {
			continue
		}
		got := testing.AllocsPerRun(100, func() { _, _ = users.Fetch(ctx, "u", 1, load, cache.Explain(&info)) })
		if got > 0 || info.Source != cache.SourceLocal {
			t.Errorf("%s: Fetch: %v allocations, %+v", store, got, info)
		}
	}
}
