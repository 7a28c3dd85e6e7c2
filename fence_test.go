package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
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

// The call of the store is held up until the fence of the change has run out: the value comes
// when nothing of the change is left.
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

// The value may be older than a change elsewhere, and nobody can tell.
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
		if err := one.Set(ctx, "k", do); err != nil {
			t.Error(err)
		}
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

func TestWhatMutateCoversIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		for _, n := range []*node{one, two} {
			_ = n.Set(ctx, "k", cache.Value("old"))
		}
		_ = one.Set(ctx, "l", cache.Value("other"))
		err := cache.Mutate(ctx, one.Cache, []string{"k"}, func(ctx context.Context) error {
			one.expectStored(t, "k", "-", "-")
			one.expectStored(t, "l", "other", "other")
			if end, ok := ctx.Deadline(); !ok || time.Until(end) != maxLoad {
				t.Errorf("the deadline is %s, %v", end, ok)
			}
			for _, n := range []*node{one, two} {
				n.DeleteFromLocalCache("k")
				if s, err := onceString(n, "k", returns("old", nil)); s != "old" || err != nil {
					t.Errorf("a load gives %q, %v", s, err)
				}
				n.expectStored(t, "k", "-", "-")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := onceString(two, "k", returns("new", nil)); s != "new" || err != nil {
			t.Errorf("afterwards a load gives %q, %v", s, err)
		}
		two.expectStored(t, "k", "new", "new")
	})
}

func TestAMutationWhoseProcessDiesLeavesNothingStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		_ = one.Set(ctx, "k", cache.Value("old"))
		err := cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error {
			// From here on the remote hears nothing of this node.
			one.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "reopenFences" || op == "delFenced" {
					return errBoom
				}
				return nil
			})
			return nil
		})
		if !errors.Is(err, errBoom) {
			t.Errorf("Mutate: %v", err)
		}
		pass(maxLoad)
		_, _ = onceString(two, "k", returns("new", nil))
		two.expectStored(t, "k", "-", "-")
		pass(maxLoad + time.Second)
		_, _ = onceString(two, "k", returns("new", nil))
		two.expectStored(t, "k", "new", "new")
	})
}

func TestMutationsThatOverlapKeepTheFenceClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		err := cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error {
			return cache.Mutate(ctx, two.Cache, []string{"k"}, func(context.Context) error { return nil })
		})
		if err != nil {
			t.Fatal(err)
		}
		err = cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error {
			if err := cache.Mutate(ctx, two.Cache, []string{"k"}, func(context.Context) error { return nil }); err != nil {
				return err
			}
			_ = two.Delete(ctx, "k")
			_, err := onceString(two, "k", returns("old", nil))
			two.expectStored(t, "k", "-", "-")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = onceString(two, "k", returns("new", nil))
		two.expectStored(t, "k", "new", "new")
	})
}

func TestMutateReportsWhatGoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := fencedPair(t)
		if err := cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error { return errBoom }); !errors.Is(err, errBoom) {
			t.Errorf("the error of the function: %v", err)
		}
		called := false
		call := func(context.Context) error { called = true; return nil }
		if err := cache.Mutate(ctx, one.Cache, []string{"k", ""}, call); !errors.Is(err, cache.ErrInvalidKey) || called {
			t.Errorf("an empty key: %v, %v", err, called)
		}
		if text := panicText(func() { _ = cache.Mutate(ctx, one.Cache, []string{"k"}, func(context.Context) error { panic("oh") }) }); text != "oh" {
			t.Errorf("a panic arrives as %q", text)
		}
		_, _ = onceString(one, "k", returns("v", nil))
		one.expectStored(t, "k", "v", "v")
		one.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		if err := cache.Mutate(ctx, one.Cache, []string{"k"}, call); !errors.Is(err, cache.ErrNotFenced) || !errors.Is(err, errBoom) || called {
			t.Errorf("a remote that fails: %v, %v", err, called)
		}
		one.remote.SetFault(nil)
		// T, wrappers, and caches without fences or a remote.
		if err := stringsOf(one).Mutate(ctx, "k", []string{"1"}, call); err != nil || !called {
			t.Errorf("T.Mutate: %v, %v", err, called)
		}
		for _, n := range []*node{both(t), onlyLocal(t), onlyRemote(t)} {
			called = false
			_ = n.Set(ctx, "k", cache.Value("v"))
			if err := cache.Mutate(ctx, n, []string{"k"}, call); err != nil || !called || n.Exists(ctx, "k") {
				t.Errorf("%s: %v, %v", n.CacheType(), err, called)
			}
		}
	})
}

func TestAFailedDeleteIsTriedAgainAndTheRemoteNotTrustedUntilThen(t *testing.T) {
	fails := map[string]func(n *node) error{
		"Delete":  func(n *node) error { return n.Delete(ctx, "k") },
		"MDelete": func(n *node) error { return stringsOf(n).MDelete(ctx, "", []string{"k", "l"}) },
		"Set":     func(n *node) error { return n.Set(ctx, "k", cache.Value("new")) },
		"MSet":    func(n *node) error { return stringsOf(n).MSet(ctx, "", map[string]string{"k": "new"}) },
	}
	for name, change := range fails {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var rec recEvents
				one, _ := fencedPair(t, cache.WithSyncLocal(true), cache.WithEventHandler(rec.handle))
				_ = one.Set(ctx, "k", cache.Value("old"))
				rec.take()
				failing := func(_ context.Context, op string, _ ...string) error {
					if op == "delFenced" || op == "setFenced" {
						return errBoom
					}
					return nil
				}
				one.remote.SetFault(failing)
				if err := change(one); !errors.Is(err, errBoom) {
					t.Fatal(err)
				}
				one.expectStored(t, "k", "-", "old")
				if err := one.Get(ctx, "k", nil); !errors.Is(err, cache.ErrRemoteUncertain) || !errors.Is(err, errBoom) {
					t.Errorf("Get: %v", err)
				}
				if s, err := onceString(one, "k", returns("new", nil)); s != "new" || err != nil {
					t.Errorf("Once: %q, %v", s, err)
				}
				one.expectStored(t, "k", "new", "old")
				one.DeleteFromLocalCache("k")
				m, err := stringsOf(one).MGetWithErr(ctx, "", []string{"k", "m"}, func(_ context.Context, ids []string) (map[string]string, error) {
					return map[string]string{"k": "newer", "m": "v"}, nil
				})
				if m["k"] != "newer" || m["m"] != "v" || !errors.Is(err, cache.ErrRemoteUncertain) {
					t.Errorf("MGet: %q, %v", m, err)
				}
				if n := cache.SyncStateOf(one).Repairs; n == 0 {
					t.Error("nothing waits to be removed")
				}
				pass(20 * time.Second) // many tries
				one.expectStored(t, "k", "newer", "old")
				one.remote.SetFault(nil)
				pass(6 * time.Second)
				if got := one.inRemote("k"); got != "-" {
					t.Errorf("the remote still has %q", got)
				}
				if got := rec.take(); !strings.Contains(got, "5:") {
					t.Errorf("events %q, want one of the removal", got)
				}
				one.DeleteFromLocalCache("k")
				_, _ = onceString(one, "k", returns("newest", nil))
				one.expectStored(t, "k", "newest", "newest")
				if n := cache.SyncStateOf(one).Repairs; n != 0 {
					t.Errorf("%d keys still wait", n)
				}
			})
		})
	}
}

// meddledLocal is a local store that calls meddle once, when a key is removed.
type meddledLocal struct {
	local.Local
	meddle func()
	once   sync.Once
}

func (m *meddledLocal) Del(key string) {
	m.once.Do(m.meddle)
	m.Local.Del(key)
}

// A read begins while a Delete gives up, which could not wait until a Set of the key had ended.
func TestAReadBesideAFailingDeleteDoesNotTrustTheRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, read := remotetest.NewMemory(), make(chan struct{}, 1)
		m.Put("k", "old")
		n := &node{local: stores["Otter"](t), remote: m, counts: &recStats{}}
		meddled := &meddledLocal{Local: n.local, meddle: func() {
			go func() {
				_ = n.Get(ctx, "k", nil)
				read <- struct{}{}
			}()
			<-read
		}}
		n.open(t, []cache.Option{cache.WithLocal(meddled), cache.WithFence(maxLoad), cache.WithRemote(slowAnswers{m, func() { read <- struct{}{} }})})
		held := make(chan struct{})
		m.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "setFenced" {
				<-held
				return errBoom
			}
			return nil
		})
		go func() { _ = n.Set(ctx, "k", cache.Value("other"), cache.SetXX(true)) }()
		synctest.Wait()
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := n.Delete(brief, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := n.inLocal("k"); got != "-" {
			t.Errorf("local has %q", got)
		}
		close(held)
		pass(time.Minute)
	})
}

func TestAChangeThatSucceedsEndsTheRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := fencedPair(t)
		one.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		_ = one.Delete(ctx, "k")
		one.remote.SetFault(nil)
		if err := one.Set(ctx, "k", cache.Value("v")); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		one.expectStored(t, "k", "v", "v")
	})
}

// A node that does not trust the remote for a key keeps what it loads in local alone, but not what
// the fence refuses: the process that closed it may die.
func TestWhatTheFenceRefusesIsNotKeptWhileTheRemoteIsNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := fencedPair(t)
		one.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "delFenced" {
				return errBoom
			}
			return nil
		})
		_ = one.Delete(ctx, "k")
		if err := cache.Mutate(ctx, two.Cache, []string{"k"}, func(context.Context) error {
			if s, err := onceString(one, "k", returns("old", nil)); s != "old" || err != nil {
				t.Errorf("%q, %v", s, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got := one.inLocal("k"); got != "-" {
			t.Errorf("local has %q", got)
		}
		one.remote.SetFault(nil)
		pass(time.Minute)
	})
}

// The remote fails again while repairs are going well.
func TestRepairsThatFailAgainPauseAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := fencedPair(t)
		broken := func(context.Context, string, ...string) error { return errBoom }
		one.remote.SetFault(broken)
		keys := make([]string, 2000) // more than one call removes
		for i := range keys {
			keys[i] = fmt.Sprint("k", i)
		}
		_ = stringsOf(one).MDelete(ctx, "", keys)
		var calls atomic.Int64
		one.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "delFenced" && calls.Add(1) > 1 {
				if calls.Load() > 1000 {
					one.remote.SetFault(nil)
				}
				return errBoom
			}
			return nil
		})
		pass(10 * time.Second)
		if n := calls.Load(); n > 20 {
			t.Errorf("it tried %d times in ten seconds", n)
		}
	})
}

// slowRemovals is a remote whose removals, if they succeed, are answered when answer is closed, if
// it is not nil.
type slowRemovals struct {
	*remotetest.Memory
	mu     sync.Mutex
	answer chan struct{} // guarded by mu
}

func (s *slowRemovals) hold(answer chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *slowRemovals) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	err := s.Memory.DelFenced(ctx, ttl, keys...)
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	if err == nil && answer != nil {
		<-answer
	}
	return err
}

// The answer to a repair comes after a Set that made it needless, and after another Delete failed.
func TestARepairDoesNotEndThatOfALaterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowRemovals{Memory: remotetest.NewMemory()}
		n := &node{local: stores["Otter"](t), remote: s.Memory, counts: &recStats{}}
		n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithRemote(s), cache.WithFence(maxLoad)})
		broken := func(context.Context, string, ...string) error { return errBoom }
		s.SetFault(broken)
		_ = n.Delete(ctx, "k")
		s.SetFault(nil)
		answer := make(chan struct{})
		s.hold(answer)
		pass(time.Second)
		if err := n.Set(ctx, "k", cache.Value("old")); err != nil {
			t.Fatal(err)
		}
		s.SetFault(broken)
		if err := n.Delete(ctx, "k"); !errors.Is(err, errBoom) {
			t.Fatal(err)
		}
		s.hold(nil)
		close(answer)
		synctest.Wait()
		s.SetFault(nil)
		if err := n.Get(ctx, "k", nil); !errors.Is(err, cache.ErrRemoteUncertain) {
			t.Errorf("Get: %v", err)
		}
		pass(time.Minute)
		if got := n.inRemote("k"); got != "-" {
			t.Errorf("the remote still has %q", got)
		}
	})
}

func TestCloseTriesOnceMoreToRemoveWhatCouldNotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		one, two := fencedPair(t)
		for _, n := range []*node{one, two} {
			_ = n.Set(ctx, "k", cache.Value("old"))
			n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
			_ = n.Delete(ctx, "k")
			if n == two {
				n.remote.SetFault(nil)
			}
			n.Close()
			n.remote.SetFault(nil)
		}
		if got := two.inRemote("k"); got != "-" {
			t.Errorf("the remote has %q", got)
		}
		if lines := log.matching("1 keys that could not be changed in the remote"); len(lines) != 1 {
			t.Errorf("the log has %q", lines)
		}
	})
}
