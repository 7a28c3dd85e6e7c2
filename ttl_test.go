package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// localLifetime returns how long the local level keeps a key, in a bubble.
func (n *node) localLifetime(t *testing.T, key string) time.Duration {
	t.Helper()
	start := time.Now()
	for time.Since(start) < 3*time.Hour {
		if _, ok := n.local.Get(key); !ok {
			return time.Since(start)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

func TestALocalEntryLivesNoLongerThanItsItem(t *testing.T) {
	tests := []struct {
		name string
		put  func(n *node) error
		want time.Duration
	}{
		{"Set", func(n *node) error { return n.Set(ctx, "k", cache.Value("v"), cache.TTL(300*time.Millisecond)) }, 300 * time.Millisecond},
		{"Set with the default TTL", func(n *node) error { return n.Set(ctx, "k", cache.Value("v")) }, 20 * time.Minute},
		{"Once", func(n *node) error {
			_, err := onceString(n, "k", returns("v", nil), cache.TTL(1500*time.Millisecond))
			return err
		}, 1500 * time.Millisecond},
		{"MGet", func(n *node) error {
			_, err := cache.NewT[string, string](n.Cache).MGetWithErr(ctx, "", []string{"k"}, func(context.Context, []string) (map[string]string, error) {
				return map[string]string{"k": "v"}, nil
			})
			return err
		}, 20 * time.Minute},
		{"Get fills with what remains", func(n *node) error {
			_ = n.remote.SetEX(ctx, "k", "v", 700*time.Millisecond)
			time.Sleep(200 * time.Millisecond)
			return n.Get(ctx, "k", nil)
		}, 500 * time.Millisecond},
		{"Once fills with what remains", func(n *node) error {
			_ = n.remote.SetEX(ctx, "k", "v", 700*time.Millisecond)
			time.Sleep(200 * time.Millisecond)
			return n.Once(ctx, "k", never(t))
		}, 500 * time.Millisecond},
		{"MGet fills with what remains", func(n *node) error {
			_ = n.remote.SetEX(ctx, "k", "v", 700*time.Millisecond)
			time.Sleep(200 * time.Millisecond)
			_, err := cache.NewT[string, string](n.Cache).MGetWithErr(ctx, "", []string{"k"}, nil)
			return err
		}, 500 * time.Millisecond},
		{"placeholder", func(n *node) error { return n.Set(ctx, "k", returns(nil, cache.ErrNotFound)) }, 10 * time.Second},
	}
	for _, tt := range tests {
		for store, newStore := range stores {
			t.Run(tt.name+", "+store, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := &node{local: newStore(t), remote: remotetest.NewMemory(), counts: &recStats{}}
					n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithRemote(n.remote), cache.WithSeparatorDisabled(true),
						cache.WithRemoteExpiry(20 * time.Minute), cache.WithNotFoundExpiry(10 * time.Second), cache.WithOffset(1)})
					if err := tt.put(n); err != nil {
						t.Fatal(err)
					}
					if _, ok := n.local.Get("k"); !ok {
						t.Fatal("local does not hold the key")
					}
					if got := n.localLifetime(t, "k"); got > tt.want+5*time.Millisecond || got < tt.want-10*time.Millisecond {
						t.Errorf("local kept it for %s, want %s", got, tt.want)
					}
				})
			})
		}
	}
}

func TestInALocalCacheTheTTLIsTheItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := onlyLocal(t)
		_ = n.Set(ctx, "short", cache.Value("v"), cache.TTL(300*time.Millisecond))
		_ = n.Set(ctx, "long", cache.Value("v"))
		if got := n.localLifetime(t, "short"); got != 300*time.Millisecond {
			t.Errorf("kept for %s", got)
		}
		time.Sleep(50 * time.Minute)
		if n.inLocal("long") != "v" {
			t.Error("without a TTL of its own, an entry does not live as long as the store's")
		}
	})
}

// slowWrites is a Remote whose writes take a second longer after they have stored the value.
type slowWrites struct{ *remotetest.Memory }

func (s slowWrites) SetEX(ctx context.Context, key string, v any, d time.Duration) error {
	err := s.Memory.SetEX(ctx, key, v, d)
	time.Sleep(time.Second)
	return err
}

func (s slowWrites) MSetItems(ctx context.Context, items ...remote.Item) error {
	err := s.Memory.MSetItems(ctx, items...)
	time.Sleep(time.Second)
	return err
}

func TestLocalDoesNotOutliveASlowRemoteWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		n := &node{local: stores["TinyLFU"](t), remote: m, counts: &recStats{}}
		n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithRemote(slowWrites{m}), cache.WithRemoteExpiry(5 * time.Second)})
		_ = n.Set(ctx, "k:1", cache.Value("v"))
		if got := n.localLifetime(t, "k:1"); got > 4*time.Second {
			t.Errorf("Set: local kept it for %s after the remote had it for 1s of 5s", got)
		}
		_, _ = onceString(n, "k:2", returns("v", nil))
		if got := n.localLifetime(t, "k:2"); got > 4*time.Second {
			t.Errorf("Once: local kept it for %s", got)
		}
		_, _ = cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{3}, func(context.Context, []int) (map[int]string, error) {
			return map[int]string{3: "v"}, nil
		})
		if got := n.localLifetime(t, "k:3"); got > 4*time.Second {
			t.Errorf("MGet: local kept it for %s", got)
		}
	})
}

func TestTTLsAreExactToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithNotFoundExpiry(1234*time.Millisecond), cache.WithOffset(time.Nanosecond), cache.WithRemoteExpiry(5678*time.Millisecond))
		expect := func(key string, want time.Duration) {
			t.Helper()
			if got, ok := n.remote.TTL(key); !ok || got != want {
				t.Errorf("%q has %s left, want %s", key, got, want)
			}
		}
		_ = n.Set(ctx, "set", cache.Value("v"), cache.TTL(300*time.Millisecond))
		expect("set", 300*time.Millisecond)
		_ = n.Set(ctx, "default", cache.Value("v"))
		expect("default", 5678*time.Millisecond)
		_, _ = onceString(n, "once", returns("v", nil), cache.TTL(1999*time.Millisecond))
		expect("once", 1999*time.Millisecond)
		_, _ = onceString(n, "absent", returns(nil, cache.ErrNotFound))
		expect("absent", 1234*time.Millisecond)
		_ = n.Set(ctx, "nx", cache.Value("v"), cache.TTL(300*time.Millisecond), cache.SetNX(true))
		expect("nx", 300*time.Millisecond)
		_, _ = cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "m", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
			return map[int]string{1: "v"}, nil
		})
		expect("m:1", 5678*time.Millisecond)
		expect("m:2", 1234*time.Millisecond)
	})
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

func TestAPlaceholderOfAnItemThatIsOnlyLocal(t *testing.T) {
	n := both(t)
	_, _ = onceString(n, "k", returns(nil, cache.ErrNotFound), cache.TTL(-1))
	n.expectStored(t, "k", "*", "-")
}

func TestTheLongestDurations(t *testing.T) {
	const forever = 1<<63 - 1
	s := local.NewTinyLFU(100, forever)
	defer s.Close()
	s.Set("k", []byte("v"))
	if _, ok := s.Get("k"); !ok {
		t.Error("a store with the longest TTL keeps nothing")
	}
	n := both(t, cache.WithNotFoundExpiry(forever), cache.WithRemoteExpiry(forever))
	_ = n.Set(ctx, "k", cache.Value("v"))
	_, _ = onceString(n, "absent", returns(nil, cache.ErrNotFound))
	if n.inLocal("k") != "v" || n.inLocal("absent") != "*" {
		t.Errorf("local holds %q and %q", n.inLocal("k"), n.inLocal("absent"))
	}
}
