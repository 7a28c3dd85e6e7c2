package cache_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestAWrongTTLJitterPanics(t *testing.T) {
	for _, fraction := range []float64{-0.1, 1, 2, math.NaN(), math.Inf(1)} {
		if text := panicText(func() { cache.New(cache.WithTTLJitter(fraction)) }); !strings.Contains(text, "WithTTLJitter was given") {
			t.Errorf("%v: %q", fraction, text)
		}
	}
}

// The ways to store "u:1" to "u:3" for 100s.
var ways = map[string]func(n *node) error{
	"Set": func(n *node) error {
		for id := range 3 {
			if err := n.Set(ctx, fmt.Sprint("u:", id+1), cache.Value("v"), cache.TTL(100*time.Second)); err != nil {
				return err
			}
		}
		return nil
	},
	"Set with Do, with the remote expiry": func(n *node) error {
		for id := range 3 {
			if err := n.Set(ctx, fmt.Sprint("u:", id+1), returns("v", nil)); err != nil {
				return err
			}
		}
		return nil
	},
	"Once": func(n *node) error {
		for id := range 3 {
			if _, err := onceString(n, fmt.Sprint("u:", id+1), returns("v", nil), cache.TTL(100*time.Second)); err != nil {
				return err
			}
		}
		return nil
	},
	"a batch": func(n *node) error {
		_, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "u", []int{1, 2, 3}, func(context.Context, []int) (map[int]string, error) {
			return map[int]string{1: "v", 2: "v", 3: "v"}, nil
		})
		return err
	},
	"MSet": func(n *node) error {
		return cache.NewT[int, string](n.Cache).MSet(ctx, "u", map[int]string{1: "v", 2: "v", 3: "v"})
	},
}

func TestTTLJitterShortensLives(t *testing.T) {
	for way, put := range ways {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := both(t, cache.WithTTLJitter(0.5), cache.WithRemoteExpiry(100*time.Second))
				if err := put(n); err != nil {
					t.Fatal(err)
				}
				lives := make(map[time.Duration]bool)
				for id := 1; id <= 3; id++ {
					ttl, ok := n.remote.TTL(fmt.Sprint("u:", id))
					if !ok || ttl <= 50*time.Second || ttl > 100*time.Second {
						t.Errorf("%d lives for %s, %v", id, ttl, ok)
					}
					lives[ttl] = true
				}
				if len(lives) < 2 {
					t.Errorf("all live for %v", lives)
				}
				ttl, _ := n.remote.TTL("u:2")
				if got := n.localLifetime(t, "u:2"); got < ttl-10*time.Millisecond || got > ttl+5*time.Millisecond {
					t.Errorf("%s in the remote, %s in the local level", ttl, got)
				}
			})
		})
	}
}

func TestTTLJitterOfARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithTTLJitter(0.5), cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		loads := &counter{}
		lives := make(map[time.Duration]bool)
		for range 5 {
			_, _ = onceString(n, "k", loads.do(), cache.Refresh(true), cache.TTL(time.Minute))
			ttl, _ := n.remote.TTL("k")
			lives[ttl+time.Duration(time.Now().UnixNano())] = true // when it ends
			pass(2 * interval)
		}
		if len(lives) < 3 || loads.calls() < 5 {
			t.Errorf("%d loads live for %v", loads.calls(), lives)
		}
	})
}

// plainRemote has the methods of a Remote, and no others.
type plainRemote struct{ remote.Remote }

func TestABatchIsOneCallWithTTLJitter(t *testing.T) {
	for _, way := range []string{"a batch", "MSet"} {
		m := remotetest.NewMemory()
		n := &node{remote: m, counts: &recStats{}}
		n.open(t, []cache.Option{cache.WithRemote(plainRemote{m}), cache.WithTTLJitter(0.5)})
		if err := ways[way](n); err != nil || m.Calls("mset") != 1 {
			t.Errorf("%s: %d calls, %v", way, m.Calls("mset"), err)
		}
		if ttl, ok := m.TTL("u:1"); !ok || ttl > time.Hour || ttl < time.Hour/2-time.Minute {
			t.Errorf("%s: lives for %s", way, ttl)
		}
	}
}

func TestWithoutATTLThereIsNoJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := onlyLocal(t, cache.WithTTLJitter(0.9))
		_ = n.Set(ctx, "k", cache.Value("v"))
		if got := n.localLifetime(t, "k"); got < time.Hour/2 {
			t.Errorf("it lives for %s", got)
		}
		_ = n.Set(ctx, "k", cache.Value("v"), cache.TTL(time.Minute))
		if got := n.localLifetime(t, "k"); got >= time.Minute {
			t.Errorf("with a TTL, it lives for %s", got)
		}
	})
}
