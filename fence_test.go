package cache_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

const maxLoad = 10 * time.Second

// fencedPair makes two nodes of a fleet that do not hear of each other, in a bubble: what one
// of them puts into the remote is kept right by fences alone.
func fencedPair(t testing.TB, opts ...cache.Option) (one, two *node) {
	m := remotetest.NewMemory()
	opts = append([]cache.Option{cache.WithFence(maxLoad), cache.WithSeparatorDisabled(true)}, opts...)
	return bothOn(t, m, opts...), bothOn(t, m, opts...)
}

// changesElsewhere are what another node may do to "k" while this one loads it.
var changesElsewhere = map[string]struct {
	change func(n *node) error
	then   string // what the remote has afterwards
}{
	"Delete":  {func(n *node) error { return n.Delete(ctx, "k") }, "-"},
	"Set":     {func(n *node) error { return n.Set(ctx, "k", cache.Value("new")) }, "new"},
	"Set Do":  {func(n *node) error { return n.Set(ctx, "k", returns("new", nil)) }, "new"},
	"MSet":    {func(n *node) error { return stringsOf(n).MSet(ctx, "", map[string]string{"k": "new"}) }, "new"},
	"MDelete": {func(n *node) error { return stringsOf(n).MDelete(ctx, "", []string{"k"}) }, "-"},
	"Mutate": {func(n *node) error {
		return cache.Mutate(ctx, n.Cache, []string{"k"}, func(context.Context) error { return nil })
	}, "-"},
}

func stringsOf(n *node) *cache.T[string, string] { return cache.NewT[string, string](n.Cache) }

func TestALoadThatBeganBeforeAChangeElsewhereIsNotStored(t *testing.T) {
	// Each loads "old" under "k" with a loader that calls meanwhile, and returns what it got.
	loads := map[string]func(n *node, meanwhile func()) (string, error){
		"Once": func(n *node, meanwhile func()) (string, error) {
			return onceString(n, "k", cache.Do(func(context.Context) (any, error) { meanwhile(); return "old", nil }))
		},
		"T.Get": func(n *node, meanwhile func()) (string, error) {
			return stringsOf(n).Get(ctx, "", "k", func(context.Context, string) (string, error) { meanwhile(); return "old", nil })
		},
		"MGet": func(n *node, meanwhile func()) (string, error) {
			m, err := stringsOf(n).MGetWithErr(ctx, "", []string{"other", "k"}, func(context.Context, []string) (map[string]string, error) {
				meanwhile()
				return map[string]string{"k": "old", "other": "good"}, nil
			})
			return m["k"], err
		},
		"refresh": func(n *node, meanwhile func()) (string, error) {
			calls := 0
			s, err := onceString(n, "k", cache.Refresh(true), cache.Do(func(context.Context) (any, error) {
				if calls++; calls == 2 {
					meanwhile()
				}
				return "old", nil
			}))
			if err == nil {
				err = cache.RefreshNow(ctx, n.Cache, "k")
			}
			return s, err
		},
	}
	for load, do := range loads {
		for name, c := range changesElsewhere {
			t.Run(load+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					one, two := fencedPair(t, cache.WithRefreshDuration(time.Hour))
					got, err := do(one, func() {
						if err := c.change(two); err != nil {
							t.Error(err)
						}
					})
					if got != "old" || err != nil {
						t.Errorf("the caller gets %q, %v", got, err)
					}
					if s := one.inRemote("k"); s != c.then {
						t.Errorf("the remote has %q, want %q", s, c.then)
					}
					if s := one.inLocal("k"); load != "refresh" && s != "-" {
						t.Errorf("local has %q", s)
					}
					if load == "MGet" {
						one.expectStored(t, "other", "good", "good")
					}
					if n := cache.SyncStateOf(one).FillsRefused; n != 1 {
						t.Errorf("%d fills are counted as refused", n)
					}
				})
			})
		}
	}
}

func TestALoadThatNothingOvertakesIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		_ = two.Delete(ctx, "k")
		if _, err := onceString(one, "k", returnsAfter(maxLoad, "v", nil)); err != nil {
			t.Fatal(err)
		}
		one.expectStored(t, "k", "v", "v")
		if s, err := onceString(two, "k", never(t)); s != "v" || err != nil {
			t.Errorf("the other reads %q, %v", s, err)
		}
		_, _ = onceString(one, "absent", returns(nil, cache.ErrNotFound))
		one.expectStored(t, "absent", "*", "*")
		if n := cache.SyncStateOf(one).FillsRefused; n != 0 {
			t.Errorf("%d fills are counted as refused", n)
		}
	})
}

func TestALoadThatTakesTooLongIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := fencedPair(t)
		if s, err := onceString(one, "k", returnsAfter(maxLoad+1, "v", nil)); s != "v" || err != nil {
			t.Errorf("the caller gets %q, %v", s, err)
		}
		one.expectStored(t, "k", "-", "-")
		m := stringsOf(one).MGet(ctx, "", []string{"k"}, func(context.Context, []string) (map[string]string, error) {
			time.Sleep(2 * maxLoad)
			return map[string]string{"k": "v"}, nil
		})
		if m["k"] != "v" {
			t.Errorf("MGet gives %q", m)
		}
		one.expectStored(t, "k", "-", "-")
		if n := cache.SyncStateOf(one).FillsRefused; n != 2 {
			t.Errorf("%d fills are counted as refused", n)
		}
	})
}

// The call that stores the value is delayed until the fence of the change has expired. The value
// arrives when the remote has no trace of the change.
func TestAValueThatComesWhenTheFenceIsGoneIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		one.remote.SetFault(func(_ context.Context, op string, keys ...string) error {
			if op == "setFenced" {
				one.remote.SetFault(nil)
				_ = two.Delete(ctx, "k")
				time.Sleep(10 * maxLoad) // as of a process that was stopped
			}
			return nil
		})
		if s, err := onceString(one, "k", returns("old", nil)); s != "old" || err != nil {
			t.Errorf("the caller gets %q, %v", s, err)
		}
		one.expectStored(t, "k", "-", "-")
	})
}

func TestASetWithDoThatAnotherNodeOvertookDeletesTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		do := func(change func()) cache.ItemOption {
			return cache.Do(func(context.Context) (any, error) { change(); return "old", nil })
		}
		if err := one.Set(ctx, "k", do(func() { _ = two.Set(ctx, "k", cache.Value("new")) })); err != nil {
			t.Error(err)
		}
		one.expectStored(t, "k", "-", "-")
		// With a condition, it changes nothing.
		if err := one.Set(ctx, "k", cache.SetXX(true), do(func() { _ = two.Set(ctx, "k", cache.Value("new")) })); err != nil {
			t.Error(err)
		}
		one.expectStored(t, "k", "-", "new")
	})
}

// The value may be older than a change on another node, and the cache cannot find out.
func TestASetWithDoWhoseFenceCannotBeReadDeletesTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		do := cache.Do(func(context.Context) (any, error) {
			return "old", two.Set(ctx, "k", cache.Value("new"))
		})
		one.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "openFences" {
				return errBoom
			}
			return nil
		})
		if err := one.Set(ctx, "k", do); !errors.Is(err, errBoom) {
			t.Error(err)
		}
		pass(time.Second) // it is removed in the background
		one.expectStored(t, "k", "-", "-")
		if err := one.Set(ctx, "k", cache.SetXX(true), do); err == nil {
			t.Error("a Set with a condition that cannot be checked against the fence succeeds")
		}
		one.expectStored(t, "k", "-", "new")
	})
}

func TestConditionsHoldBehindFences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := fencedPair(t)
		_ = one.Set(ctx, "k", cache.Value("a"), cache.SetXX(true))
		one.expectStored(t, "k", "-", "-")
		_ = one.Set(ctx, "k", cache.Value("b"), cache.SetNX(true))
		one.expectStored(t, "k", "b", "b")
		_ = one.Set(ctx, "k", cache.Value("c"), cache.SetNX(true))
		one.expectStored(t, "k", "b", "b")
		_ = one.Set(ctx, "k", cache.Value("d"), cache.SetXX(true), cache.TTL(time.Minute))
		one.expectStored(t, "k", "d", "d")
		if ttl, _ := one.remote.TTL("k"); ttl != time.Minute {
			t.Errorf("the TTL is %s", ttl)
		}
	})
}

func TestARemoteThatCannotBeWrittenDoesNotKeepTheValueOutOfLocal(t *testing.T) {
	for _, failing := range []string{"openFences", "setFenced"} {
		synctest.Test(t, func(t *testing.T) {
			one, _ := fencedPair(t)
			one.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == failing {
					return errBoom
				}
				return nil
			})
			if s, err := onceString(one, "k", returns("v", nil)); s != "v" || err != nil {
				t.Errorf("%s: %q, %v", failing, s, err)
			}
			one.expectStored(t, "k", "v", "-")
			m, err := stringsOf(one).MGetWithErr(ctx, "", []string{"l"}, func(context.Context, []string) (map[string]string, error) {
				return map[string]string{"l": "v"}, nil
			})
			if m["l"] != "v" || err == nil {
				t.Errorf("%s: MGet gives %q, %v", failing, m, err)
			}
			one.expectStored(t, "l", "v", "-")
		})
	}
}

// A value under the key of a fence or a lease would be overwritten, and would be taken for one.
func TestKeysThatAreNamedLikeAFenceOrALeaseAreRefused(t *testing.T) {
	for name, opts := range map[string][]cache.Option{
		"fence": {cache.WithFence(maxLoad)},
		"lease": {cache.WithLease(maxLoad)},
		"both":  {cache.WithFence(maxLoad), cache.WithLease(maxLoad)},
		"":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"{k}#f", "{k}#l", "k:{1}#f", "{k}:1#l", "{k}#who", "{k}:1", "k#f", "k#l", "k#who"} {
				refused := name != "" && strings.Contains(key, "}#") || name != "" && key == "{k}:1#l"
				n := both(t, append(opts, cache.WithSeparatorDisabled(true), cache.WithRefreshDuration(time.Hour))...)
				texts := stringsOf(n)
				load := func(_ context.Context, ids []string) (map[string]string, error) {
					return map[string]string{ids[0]: "v"}, nil
				}
				called := false
				_, fetched := texts.Fetch(ctx, "", key, func(context.Context, string) (string, error) { return "v", nil }, cache.Refresh(true))
				_, got := texts.Get(ctx, "", key, nil)
				_, many := texts.MGetWithErr(ctx, "", []string{key}, load)
				_, refreshed := texts.MFetch(ctx, "", []string{key}, load, cache.Refresh(true))
				for call, err := range map[string]error{
					"Set": n.Set(ctx, key, cache.Value("v")), "Set with Do": n.Set(ctx, key, returns("v", nil)),
					"Once": n.Once(ctx, key, returns("v", nil), cache.Refresh(true)), "RefreshNow": cache.RefreshNow(ctx, n.Cache, key),
					"Get": n.Get(ctx, key, nil), "GetSkippingLocal": n.GetSkippingLocal(ctx, key, nil),
					"T.Get": got, "T.Fetch": fetched, "T.MGetWithErr": many, "T.MFetch": refreshed,
					"T.MSet":   texts.MSet(ctx, "", map[string]string{key: "v"}),
					"Mutate":   cache.Mutate(ctx, n.Cache, []string{"good", key}, func(context.Context) error { called = true; return nil }),
					"MDelete":  texts.MDelete(ctx, "", []string{key}),
					"Delete":   n.Delete(ctx, key),
					"T.Delete": texts.Delete(ctx, "", key),
				} {
					if errors.Is(err, cache.ErrInvalidKey) != refused || refused && !strings.Contains(err.Error(), "fence or a lease") && !strings.Contains(err.Error(), "members of a channel") {
						t.Errorf("%s of %q: %v", call, key, err)
					}
				}
				if called == refused {
					t.Errorf("Mutate of %q called its function: %t", key, called)
				}
				if refused && (n.Exists(ctx, key) || n.inRemote(key) != "-" || n.inLocal(key) != "-" || n.TaskSize() != 0) {
					t.Errorf("%q left a trace", key)
				}
			}
		})
	}
}

// So would a value under the key of the token, or of the members, of the cache's channel.
func TestTheKeysOfTheChannelAreRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		opts    []cache.Option
		refused []string
		fine    []string
	}{
		{"link", []cache.Option{cache.WithSyncLocal(true), cache.WithSyncBus(remotetest.NewBus()), cache.WithSyncChannel("ch")}, []string{"{ch}#seq", "{ch}#who"}, []string{"ch#seq", "{other}#seq", "{ch}#seq2", "{other}#who"}},
		{"link, and a channel with a hash tag", []cache.Option{cache.WithSyncLocal(true), cache.WithSyncBus(remotetest.NewBus()), cache.WithSyncChannel("a{ch}")}, []string{"a{ch}#seq", "a{ch}#who"}, []string{"{ch}#seq", "{ch}#who"}},
		{"no link", []cache.Option{cache.WithSyncChannel("ch")}, nil, []string{"{ch}#seq", "{ch}#who"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := both(t, test.opts...)
			for _, key := range append(test.fine, test.refused...) {
				refused := slices.Contains(test.refused, key)
				for call, err := range map[string]error{
					"Set":    n.Set(ctx, key, cache.Value("v")),
					"Once":   n.Once(ctx, key, returns("v", nil)),
					"Mutate": cache.Mutate(ctx, n.Cache, []string{key}, func(context.Context) error { return nil }),
					"Delete": n.Delete(ctx, key),
				} {
					if errors.Is(err, cache.ErrInvalidKey) != refused || refused && !strings.Contains(err.Error(), "token") {
						t.Errorf("%s of %q: %v", call, key, err)
					}
				}
			}
		})
	}
}

func TestKeysThatCannotHaveAFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := fencedPair(t)
		const bad = "a}b"
		for name, err := range map[string]error{
			"Set":    one.Set(ctx, bad, cache.Value("v")),
			"Delete": one.Delete(ctx, bad),
			"Get":    one.Get(ctx, bad, nil),
			"Once":   one.Once(ctx, bad, returns("v", nil)),
		} {
			if !errors.Is(err, cache.ErrInvalidKey) || !strings.Contains(err.Error(), "hash tag") {
				t.Errorf("%s: %v", name, err)
			}
		}
		m, err := stringsOf(one).MGetWithErr(ctx, "", []string{bad, "good"}, func(_ context.Context, ids []string) (map[string]string, error) {
			return map[string]string{bad: "v", "good": "v"}, nil
		})
		if len(m) != 1 || m["good"] != "v" || !errors.Is(err, cache.ErrInvalidKey) {
			t.Errorf("MGet gives %q, %v", m, err)
		}
		// Without fences, nothing is wrong with it.
		if err := both(t).Set(ctx, bad, cache.Value("v")); err != nil {
			t.Error(err)
		}
	})
}
