package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
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
		pass(time.Hour / 2)
		if n.inLocal("k") != "v" {
			t.Error("it does not live for as long as the store keeps it")
		}
		_ = n.Set(ctx, "k", cache.Value("v"), cache.TTL(time.Minute))
		if got := n.localLifetime(t, "k"); got >= time.Minute {
			t.Errorf("with a TTL, it lives for %s", got)
		}
	})
}

// large is one byte larger than the values of these tests may be.
var large = strings.Repeat("x", 9)

// limited calls f with nodes of each kind whose values may have 8 bytes.
func limited(t *testing.T, f func(t *testing.T, n *node), opts ...cache.Option) {
	for name, topology := range topologies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, topology(t, append(opts, cache.WithMaxValueBytes(8))...)) })
		})
	}
}

// expectNothing checks that no level has key.
func (n *node) expectNothing(t *testing.T, key string) {
	t.Helper()
	if n.local != nil && n.inLocal(key) != "-" || n.remote != nil && n.inRemote(key) != "-" {
		t.Errorf("a level has %s", key)
	}
}

func TestAValueThatIsTooLargeIsReturnedAndNotStored(t *testing.T) {
	log := captureLog(t)
	limited(t, func(t *testing.T, n *node) {
		if s, err := onceString(n, "k", returns(large[:8], nil)); s != large[:8] || err != nil {
			t.Errorf("a value of 8 bytes: %q, %v", s, err)
		}
		_ = n.Delete(ctx, "k")
		for range 2 { // each read loads it
			if s, err := onceString(n, "k", returns(large, nil)); s != large || err != nil {
				t.Errorf("Once: %q, %v", s, err)
			}
			n.expectNothing(t, "k")
		}
		texts := cache.NewT[int, string](n.Cache)
		if s, err := texts.Get(ctx, "u", 1, func(context.Context, int) (string, error) { return large, nil }); s != large || err != nil {
			t.Errorf("Get: %q, %v", s, err)
		}
		found, err := texts.MGetWithErr(ctx, "u", []int{1, 2, 3}, func(context.Context, []int) (map[int]string, error) {
			return map[int]string{1: large, 2: "small"}, nil
		})
		if len(found) != 2 || found[1] != large || found[2] != "small" || err != nil {
			t.Errorf("MGet: %v, %v", found, err)
		}
		n.expectNothing(t, "u:1")
		found, err = texts.MGetWithErr(ctx, "u", []int{2, 3}, func(context.Context, []int) (map[int]string, error) {
			t.Error("another load")
			return nil, nil
		})
		if len(found) != 1 || err != nil {
			t.Errorf("the others: %v, %v", found, err)
		}
		if got := n.counts.tooLarge(); got != 4 {
			t.Errorf("%d values were counted", got)
		}
		if lines := log.matching("too large"); len(lines) != 1 || !strings.Contains(lines[0], `"k" has 9 bytes, and WithMaxValueBytes allows 8`) {
			t.Errorf("the log has %q", lines)
		}
		log.reset()
	})
}

func TestSetOfAValueThatIsTooLarge(t *testing.T) {
	for name, set := range map[string]func(n *node, opts ...cache.ItemOption) error{
		"Set": func(n *node, opts ...cache.ItemOption) error {
			return n.Set(ctx, "k", append(opts, cache.Value(large))...)
		},
		"Set with Do": func(n *node, opts ...cache.ItemOption) error {
			return n.Set(ctx, "k", append(opts, returns(large, nil))...)
		},
		"MSet": func(n *node, opts ...cache.ItemOption) error {
			err := stringsOf(n).MSet(ctx, "", map[string]string{"k": large, "k2": "small"})
			if s, _ := onceString(n, "k2"); s != "small" {
				err = errors.Join(err, fmt.Errorf("the other one is %q", s))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			limited(t, func(t *testing.T, n *node) {
				_ = n.Set(ctx, "k", cache.Value("old"))
				err := set(n)
				if !errors.Is(err, cache.ErrValueTooLarge) || !strings.HasSuffix(err.Error(), `: "k" has 9 bytes, and WithMaxValueBytes allows 8`) {
					t.Errorf("got %v", err)
				}
				n.expectNothing(t, "k")
				if n.counts.tooLarge() != 1 {
					t.Errorf("%d are counted", n.counts.tooLarge())
				}
				if name == "MSet" {
					return
				}
				_ = n.Set(ctx, "k", cache.Value("old"))
				if err := set(n, cache.SetNX(true)); !errors.Is(err, cache.ErrValueTooLarge) {
					t.Errorf("SetNX: %v", err)
				}
				if s, _ := onceString(n, "k"); s != "old" {
					t.Errorf("after a SetNX, it is %q", s)
				}
				if err := set(n, cache.TTL(-1)); !errors.Is(err, cache.ErrValueTooLarge) || n.local != nil && n.inLocal("k") != "-" {
					t.Errorf("below zero: %v", err)
				}
				if n.remote != nil && n.inRemote("k") != "old" {
					t.Error("it is not for the remote, and was removed there")
				}
			}, cache.WithSeparatorDisabled(true))
		})
	}
}

// A refresh brings a value that is too large: the older one goes, on each node.
func TestAValueThatIsTooLargeRemovesAnOlderOneOnAllNodes(t *testing.T) {
	for _, opts := range [][]cache.Option{nil, {cache.WithFence(maxLoad)}, {cache.WithLease(leaseTTL)}} {
		synctest.Test(t, func(t *testing.T) {
			nodes, _ := fleetOf(t, 2, append(opts, cache.WithMaxValueBytes(8), cache.WithRefreshDuration(time.Hour), cache.WithStopRefreshAfterLastAccess(2*time.Hour))...)
			v := "old"
			load := cache.Do(func(context.Context) (any, error) { return v, nil })
			for _, n := range nodes {
				if s, err := onceString(n, "k", load, cache.Refresh(true)); s != "old" || err != nil {
					t.Errorf("got %q, %v", s, err)
				}
				n.expectStored(t, "k", "old", "old")
			}
			v = large
			if err := cache.RefreshNow(ctx, nodes[0].Cache, "k"); err != nil {
				t.Error(err)
			}
			pass(time.Second)
			for _, n := range nodes {
				n.expectStored(t, "k", "-", "-")
			}
		})
	}
}

// All nodes wait for the load of a value that is not stored. Each then loads for itself, and all at once.
func TestNodesDoNotWaitForEachOtherIfAValueIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 5, true, cache.WithMaxValueBytes(8))
		began := time.Now()
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				if s, err := onceString(n, "k", returnsAfter(time.Second, large, nil)); s != large || err != nil {
					t.Errorf("got %q, %v", s, err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(began); d > 2*time.Second+lookAgain {
			t.Errorf("it took %s", d)
		}
	})
}

func TestAChangeDuringALoadOfAValueThatIsTooLargeStays(t *testing.T) {
	limited(t, func(t *testing.T, n *node) {
		s, err := onceString(n, "k", cache.Do(func(context.Context) (any, error) {
			return large, n.Set(ctx, "k", cache.Value("new"))
		}))
		if s != large || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		if s, err := onceString(n, "k"); s != "new" || err != nil {
			t.Errorf("then: %q, %v", s, err)
		}
	})
}

func TestTheLocalLevelKeepsNoLargeValueOfOtherNodes(t *testing.T) {
	n := both(t, cache.WithMaxValueBytes(8))
	n.remote.Put("k", large)
	if s, err := onceString(n, "k", never(t)); s != large || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	n.expectStored(t, "k", "-", large)
}

func TestTheRemovalOfAnOlderValueThatFailsIsMadeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithMaxValueBytes(8), cache.WithFence(maxLoad), cache.WithRefreshDuration(time.Hour))
		v := "old"
		_, _ = onceString(n, "k", cache.Refresh(true), cache.Do(func(context.Context) (any, error) { return v, nil }))
		v = large
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "delFenced" {
				return errBoom
			}
			return nil
		})
		_ = cache.RefreshNow(ctx, n.Cache, "k")
		n.expectStored(t, "k", "-", "old")
		if s, err := onceString(n, "k", returns(large, nil)); s != large || err != nil {
			t.Errorf("meanwhile: %q, %v", s, err)
		}
		n.remote.SetFault(nil)
		pass(time.Minute)
		n.expectStored(t, "k", "-", "-")
	})
}

func TestAWrappedCacheReturnsAValueThatIsTooLarge(t *testing.T) {
	n := both(t, cache.WithMaxValueBytes(8))
	users := cache.NewT[int, string](struct{ cache.Cache }{n.Cache})
	found, err := users.MGetWithErr(ctx, "u", []int{1}, func(context.Context, []int) (map[int]string, error) { return map[int]string{1: large}, nil })
	if found[1] != large || err != nil {
		t.Errorf("got %v, %v", found, err)
	}
	n.expectStored(t, "u:1", "-", "-")
}

func TestAKeyThatIsTooLong(t *testing.T) {
	const most = 200
	fits, tooLong := strings.Repeat("k", most), strings.Repeat("k", most+1)
	for name, topology := range topologies {
		t.Run(name, func(t *testing.T) {
			n := topology(t, cache.WithMaxKeyBytes(most), cache.WithSeparatorDisabled(true))
			texts := stringsOf(n)
			loadAll := func(_ context.Context, ids []string) (map[string]string, error) {
				found := make(map[string]string)
				for _, id := range ids {
					found[id] = "v"
				}
				return found, nil
			}
			for call, do := range map[string]func(key string) error{
				"Set":     func(key string) error { return n.Set(ctx, key, cache.Value("v")) },
				"Set Do":  func(key string) error { return n.Set(ctx, key, returns("v", nil)) },
				"Once":    func(key string) error { _, err := onceString(n, key, returns("v", nil)); return err },
				"Get":     func(key string) error { return n.Get(ctx, key, nil) },
				"Delete":  func(key string) error { return n.Delete(ctx, key) },
				"T.Set":   func(key string) error { return texts.Set(ctx, key[:100], key[100:], "v") },
				"MSet":    func(key string) error { return texts.MSet(ctx, "", map[string]string{key: "v", "other": "v"}) },
				"MDelete": func(key string) error { return texts.MDelete(ctx, "", []string{key}) },
				"T.Get": func(key string) error {
					_, err := texts.Get(ctx, "", key, func(context.Context, string) (string, error) { return "v", nil })
					return err
				},
				"MGet": func(key string) error {
					found, err := texts.MGetWithErr(ctx, "", []string{key, "other"}, loadAll)
					if found["other"] != "v" {
						t.Errorf("MGet: the other one is %q", found["other"])
					}
					return err
				},
			} {
				_ = n.Set(ctx, fits, cache.Value("v"))
				if err := do(fits); err != nil {
					t.Errorf("%s of a key that fits: %v", call, err)
				}
				err := do(tooLong)
				if !errors.Is(err, cache.ErrInvalidKey) || !strings.HasSuffix(err.Error(), "has 201 bytes, and WithMaxKeyBytes allows 200") || strings.Contains(err.Error(), tooLong[:150]) {
					t.Errorf("%s: %v", call, err)
				}
			}
			if n.Exists(ctx, tooLong) {
				t.Error("it exists")
			}
		})
	}
}
