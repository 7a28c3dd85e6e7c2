package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// The cache retries a removal that failed in the remote. Until it succeeds, the cache does not trust the
// remote's value of the key.

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

// A Delete waits for a Set of its key and gives up. A read begins at that moment.
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

// A node that does not trust the remote for a key stores a loaded value in local only. It stores nothing
// if the fence refuses the value, since the process that closed the fence may die.
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

// slowRemovals is a remote whose successful removals return when answer is closed. They return at once if
// answer is nil.
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

// A Set makes a repair unnecessary, another Delete fails, and then the answer to the repair arrives.
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

// A batch reports the keys that it does not read from the remote, because an earlier change of them
// has failed.
func TestMGetReportsTheKeysThatItDoesNotTrust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithFence(time.Minute))
		strs := cache.NewT[int, string](n.Cache)
		_ = strs.MSet(ctx, "k", map[int]string{1: "old", 2: "old"})
		n.remote.SetFault(func(_ context.Context, op string, keys ...string) error {
			if op != "mget" && op != "get" && slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, "k:1") }) {
				return errBoom
			}
			return nil
		})
		if err := strs.Delete(ctx, "k", 1); !errors.Is(err, errBoom) {
			t.Fatalf("Delete: %v", err)
		}
		n.local.Del("k:2")
		got, err := strs.MGetWithErr(ctx, "k", []int{1, 2}, nil)
		if len(got) != 1 || got[2] != "old" || !errors.Is(err, cache.ErrRemoteUncertain) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
