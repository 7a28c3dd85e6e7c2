package cache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// slowRemote takes 50ms for a read, and has nothing.
type slowRemote struct{ remote.Remote }

func (r slowRemote) Get(ctx context.Context, key string) (string, error) {
	time.Sleep(50 * time.Millisecond)
	return r.Remote.Get(ctx, key)
}

// panicky panics once in OpenFences.
type panicky struct {
	remote.Remote
	remote.Fencer
	n *atomic.Int32
}

func (p panicky) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	if p.n.Add(1) == 1 {
		panic("the pieces")
	}
	return p.Fencer.OpenFences(ctx, ttl, keys...)
}

// A panic between the slot and the loader must not lose the slot.
func TestLimitsSlotIsLostByAPanicOfTheRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		c := limitsCache(t, cache.WithRemote(panicky{m, any(m).(remote.Fencer), new(atomic.Int32)}), cache.WithFence(time.Minute), cache.WithLoadConcurrency(1))
		var s string
		err := c.Once(ctx, "k", cache.Value(&s), cache.Do(func(context.Context) (any, error) { return "v1", nil }))
		t.Log(err)
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		err = c.Once(short, "other", cache.Value(&s), cache.Do(func(context.Context) (any, error) { return "v1", nil }))
		if err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

func limitsCache(t *testing.T, opts ...cache.Option) cache.Cache {
	l := local.NewOtter(1000, time.Hour)
	l.UseRandomizedTTL(0)
	c := cache.New(append([]cache.Option{cache.WithName("any"), cache.WithLocal(l), cache.WithStatsDisabled(true)}, opts...)...)
	t.Cleanup(func() { c.Close(); l.Close() })
	return c
}

// A background load whose loader ignores its ctx: is the key free after 30s?
func TestLimitsHungBackgroundLoadHoldsTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limitsCache(t, cache.WithStaleWhileRevalidate(10*time.Second))
		var s string
		_ = c.Once(ctx, "k", cache.Value(&s), cache.TTL(time.Second), cache.Do(func(context.Context) (any, error) { return "v1", nil }))
		time.Sleep(2 * time.Second)
		hang := make(chan struct{})
		defer close(hang)
		err := c.Once(ctx, "k", cache.Value(&s), cache.TTL(time.Second), cache.Do(func(context.Context) (any, error) { <-hang; return "late", nil }))
		t.Logf("stale: %q %v", s, err)
		time.Sleep(10 * time.Minute) // far beyond the window, and the 30s
		for range 3 {
			short, cancel := context.WithTimeout(ctx, time.Second)
			err = c.Once(short, "k", cache.Value(&s), cache.Do(func(context.Context) (any, error) { return "v2", nil }))
			cancel()
			if err != nil {
				t.Errorf("ten minutes later the healthy loader is not called: %v", err)
			}
		}
	})
}

// A background load that takes longer than LoadTimeout must count as a failure (StaleRetry).
func TestLimitsBackgroundTimeoutThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limitsCache(t, cache.WithStaleWhileRevalidate(time.Hour), cache.WithLoadTimeout(time.Second), cache.WithStaleRetry(10*time.Second), cache.WithRemote(slowRemote{remotetest.NewMemory()}))
		var s string
		_ = c.Once(ctx, "k", cache.Value(&s), cache.TTL(time.Second), cache.Do(func(context.Context) (any, error) { return "v1", nil }))
		time.Sleep(2 * time.Second)
		var n atomic.Int32
		for range 5 {
			_ = c.Once(ctx, "k", cache.Value(&s), cache.Do(func(ctx context.Context) (any, error) { n.Add(1); <-ctx.Done(); return nil, ctx.Err() }))
			time.Sleep(1100 * time.Millisecond)
		}
		if n.Load() != 1 {
			t.Errorf("%d loads in 5.5s although StaleRetry is 10s", n.Load())
		}
	})
}

// A batch under a soft timeout returns a value beyond its limit.
func TestLimitsBatchSoftBeyondLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limitsCache(t, cache.WithStaleOnError(time.Hour))
		texts := cache.NewT[int, string](c)
		_, _ = texts.MFetch(ctx, "p", []int{1}, func(context.Context, []int) (map[int]string, error) { return map[int]string{1: "v1"}, nil }, cache.TTL(time.Second))
		time.Sleep(time.Second + 900*time.Millisecond)
		slow := func(ctx context.Context, _ []int) (map[int]string, error) {
			time.Sleep(10 * time.Second)
			return map[int]string{1: "v2"}, nil
		}
		got, err := texts.MFetch(ctx, "p", []int{1}, slow, cache.StaleOnError(time.Second), cache.SoftTimeout(900*time.Millisecond))
		if got[1] == "v1" {
			t.Errorf("a value that is 1.8s beyond its TTL, and the call allows 1s: %v, %v", got, err)
		}
		time.Sleep(time.Minute)
	})
}

// ExplainEach for values that were loaded within the soft timeout.
func TestLimitsBatchSoftExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limitsCache(t, cache.WithStaleOnError(time.Hour), cache.WithSoftTimeout(time.Second))
		texts := cache.NewT[int, string](c)
		load := func(v string) func(context.Context, []int) (map[int]string, error) {
			return func(context.Context, []int) (map[int]string, error) { return map[int]string{1: v}, nil }
		}
		_, _ = texts.MFetch(ctx, "p", []int{1}, load("v1"), cache.TTL(time.Second))
		time.Sleep(2 * time.Second)
		got, err := texts.MFetch(ctx, "p", []int{1}, load("v2"), cache.ExplainEach(func(_ int, info cache.Info) {
			if info.Source != cache.SourceLoader {
				t.Errorf("Info of a loaded value: %+v", info)
			}
		}))
		t.Log(got, err)
	})
}

// WithLoadConcurrency and background loads that a loader's reads begin.
func TestLimitsBackgroundLoadsFromALoaderAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limitsCache(t, cache.WithStaleWhileRevalidate(time.Hour), cache.WithLoadConcurrency(1))
		keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		var s string
		for _, k := range keys {
			_ = c.Once(ctx, k, cache.Value(&s), cache.TTL(time.Second), cache.Do(func(context.Context) (any, error) { return "v1", nil }))
		}
		time.Sleep(2 * time.Second)
		var now, most atomic.Int32
		slow := func(context.Context) (any, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for {
				m := most.Load()
				if n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(5 * time.Second)
			return "v2", nil
		}
		_ = c.Once(ctx, "outer", cache.Value(&s), cache.Do(func(ctx context.Context) (any, error) {
			for _, k := range keys {
				var in string
				_ = c.Once(ctx, k, cache.Value(&in), cache.TTL(time.Second), cache.Do(slow))
			}
			return "outer", nil
		}))
		time.Sleep(time.Minute)
		if most.Load() > 1 {
			t.Errorf("WithLoadConcurrency(1), the outer loader has returned, and %d loads ran at a time", most.Load())
		}
	})
}

// Close while a background load runs.
func TestLimitsCloseWaitsForBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limitsCache(t, cache.WithStaleWhileRevalidate(time.Hour))
		var s string
		_ = c.Once(ctx, "k", cache.Value(&s), cache.TTL(time.Second), cache.Do(func(context.Context) (any, error) { return "v1", nil }))
		time.Sleep(2 * time.Second)
		_ = c.Once(ctx, "k", cache.Value(&s), cache.Do(func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() }))
		began := time.Now()
		c.Close()
		if d := time.Since(began); d > time.Second {
			t.Errorf("Close took %s for a load that heeds its ctx", d)
		}
		time.Sleep(time.Minute)
	})
}

// At exactly the end of the TTL, for a call that did not ask.
func TestLimitsExactEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limitsCache(t)
		var s string
		_ = c.Once(ctx, "k", cache.Value(&s), cache.TTL(time.Second), cache.StaleOnError(time.Hour), cache.Do(func(context.Context) (any, error) { return "v1", nil }))
		time.Sleep(time.Second)
		_ = c.Once(ctx, "k", cache.Value(&s), cache.Do(func(context.Context) (any, error) { return "v2", nil }))
		if s != "v2" {
			t.Errorf("at the end of the TTL: %q for a call without stale options", s)
		}
	})
}

// Not found, with a condition that does not hold.
func TestLimitsNotFoundWithCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limitsCache(t, cache.WithStaleOnError(time.Hour))
		var s string
		_ = c.Once(ctx, "k", cache.Value(&s), cache.TTL(time.Second), cache.Do(func(context.Context) (any, error) { return "v1", nil }))
		time.Sleep(2 * time.Second)
		err := c.Once(ctx, "k", cache.Value(&s), cache.SetXX(true), cache.Do(func(context.Context) (any, error) { return nil, cache.ErrNotFound }))
		t.Log(err)
		time.Sleep(2 * time.Second)
		s = ""
		err = c.Once(ctx, "k", cache.Value(&s), cache.Do(func(context.Context) (any, error) { return nil, errBoom }))
		if s == "v1" {
			t.Errorf("the record was said not to exist, and its value came back: %q, %v", s, err)
		}
	})
}

// The load goes on when a soft timeout ends the wait, also if another caller has begun it.
func TestLimitsSoftTimeoutOfAJoinedLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limitsCache(t, cache.WithStaleOnError(time.Hour))
		var s, u string
		_ = c.Once(ctx, "k", cache.Value(&s), cache.TTL(time.Second), cache.Do(func(context.Context) (any, error) { return "v1", nil }))
		time.Sleep(2 * time.Second)
		var cancelled atomic.Bool
		do := cache.Do(func(ctx context.Context) (any, error) {
			select {
			case <-time.After(300 * time.Millisecond):
				return "v2", nil
			case <-ctx.Done():
				cancelled.Store(true)
				return nil, ctx.Err()
			}
		})
		go func() {
			short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			_ = c.Once(short, "k", cache.Value(&u), do)
		}()
		time.Sleep(10 * time.Millisecond)
		err := c.Once(ctx, "k", cache.Value(&s), do, cache.SoftTimeout(50*time.Millisecond))
		t.Log(s, err)
		time.Sleep(time.Minute)
		if cancelled.Load() {
			t.Error("the load did not go on")
		}
	})
}

// FailFast "returns ErrRemoteUnavailable at once"; StaleOnly is the one with stale values.
func TestLimitsFailFastWithStaleOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		c := limitsCache(t, cache.WithRemote(m), cache.WithStaleOnError(time.Hour), cache.WithRemoteDown(cache.FailFast),
			cache.WithRemoteBreaker(cache.Breaker{MinCalls: 1, FailureRatio: 1, OpenFor: time.Hour}))
		var s string
		v1 := cache.Do(func(context.Context) (any, error) { return "v1", nil })
		_ = c.Once(ctx, "k", cache.Value(&s), cache.TTL(time.Second), v1)
		time.Sleep(20 * time.Second)
		m.SetFault(func(context.Context, string, ...string) error { return errBoom })
		_ = c.Get(ctx, "trip", &s)
		s = ""
		err := c.Once(ctx, "k", cache.Value(&s), v1)
		t.Logf("FailFast: %q, %v", s, err)
		if !errors.Is(err, cache.ErrRemoteUnavailable) {
			t.Error("not ErrRemoteUnavailable")
		}
	})
}
