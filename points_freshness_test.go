package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// Freshness: the points 7 to 11.

// changes are what voids older loads and reads of the key "k:1".
var changes = map[string]struct {
	do                func(n *node) error
	inLocal, inRemote string // what the key holds afterwards
}{
	"Delete":               {func(n *node) error { return n.Delete(ctx, "k:1") }, "-", "-"},
	"Set":                  {func(n *node) error { return n.Set(ctx, "k:1", cache.Value("new")) }, "new", "new"},
	"DeleteFromLocalCache": {func(n *node) error { n.DeleteFromLocalCache("k:1"); return nil }, "-", "-"},
	"MDelete": {func(n *node) error {
		return cache.NewT[int, string](n.Cache).MDelete(ctx, "k", []int{0, 1})
	}, "-", "-"},
	"MSet": {func(n *node) error {
		return cache.NewT[int, string](n.Cache).MSet(ctx, "k", map[int]string{0: "new", 1: "new"})
	}, "new", "new"},
}

// readers load or read "k:1", whose value is "old" until the change.
var readers = map[string]func(n *node, took time.Duration) error{
	"Once": func(n *node, took time.Duration) error {
		_, err := onceString(n, "k:1", returnsAfter(took, "old", nil))
		return err
	},
	"Once not found": func(n *node, took time.Duration) error {
		_, err := onceString(n, "k:1", returnsAfter(took, nil, cache.ErrNotFound))
		if errors.Is(err, cache.ErrNotFound) {
			return nil
		}
		return err
	},
	"MGet": func(n *node, took time.Duration) error {
		_, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
			time.Sleep(took)
			return map[int]string{1: "old", 2: "other"}, nil
		})
		return err
	},
	"Set with Do": func(n *node, took time.Duration) error { return n.Set(ctx, "k:1", returnsAfter(took, "old", nil)) },
}

func TestPoint7ALoadThatAChangeOvertookWritesNothing(t *testing.T) {
	for changeName, change := range changes {
		for readerName, read := range readers {
			t.Run(changeName+" during "+readerName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := both(t)
					var wg sync.WaitGroup
					wg.Go(func() {
						if err := read(n, 2*time.Second); err != nil {
							t.Error(err)
						}
					})
					time.Sleep(time.Second)
					if err := change.do(n); err != nil {
						t.Fatal(err)
					}
					wg.Wait()
					n.expectStored(t, "k:1", change.inLocal, change.inRemote)
					if readerName == "MGet" {
						n.expectStored(t, "k:2", "other", "other")
					}
				})
			})
		}
	}
}

// The write-back is on its way when the change comes: the change must come out on top.
func TestPoint7AWriteBackUnderWayDoesNotOutliveAChange(t *testing.T) {
	for changeName, change := range changes {
		for readerName, read := range readers {
			if readerName == "Set with Do" && changeName != "Delete" {
				continue // two writes at the same time
			}
			t.Run(changeName+" during "+readerName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := both(t)
					n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
						if op == "set" || op == "mset" {
							time.Sleep(2 * time.Second)
						}
						return nil
					})
					var wg sync.WaitGroup
					wg.Go(func() {
						if err := read(n, 0); err != nil {
							t.Error(err)
						}
					})
					time.Sleep(time.Second)
					if err := change.do(n); err != nil {
						t.Fatal(err)
					}
					wg.Wait()
					if l := n.inLocal("k:1"); l != change.inLocal {
						t.Errorf("local holds %q, want %q", l, change.inLocal)
					}
					// An invalidation says nothing of the remote's value, which may be newer.
					if r := n.inRemote("k:1"); changeName != "DeleteFromLocalCache" && r != change.inRemote {
						t.Errorf("the remote holds %q, want %q", r, change.inRemote)
					}
				})
			})
		}
	}
}

func TestPoint7ARemoteReadThatAChangeOvertookDoesNotFillLocal(t *testing.T) {
	reads := map[string]func(n *node){
		"Get":  func(n *node) { _ = n.Get(ctx, "k:1", nil) },
		"Once": func(n *node) { _, _ = onceString(n, "k:1", returns(nil, errBoom)) },
		"MGet": func(n *node) { _, _ = cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1, 2}, nil) },
	}
	for changeName, change := range changes {
		for readName, read := range reads {
			t.Run(changeName+" during "+readName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := both(t)
					n.remote.Put("k:1", "old")
					n.remote.Put("k:2", "old")
					// The answer is on its way: it was read before the change.
					n.Cache.Close()
					n.Cache = cache.New(cache.WithLocal(n.local), cache.WithStatsDisabled(true), cache.WithRemote(slowAnswers{n.remote, func() { time.Sleep(2 * time.Second) }}))
					go read(n)
					time.Sleep(time.Second)
					if err := change.do(n); err != nil {
						t.Fatal(err)
					}
					time.Sleep(2 * time.Second)
					if l := n.inLocal("k:1"); l != change.inLocal {
						t.Errorf("local holds %q, want %q", l, change.inLocal)
					}
				})
			})
		}
	}
}

// slowAnswers is a Remote whose reads take their time after having read.
type slowAnswers struct {
	*remotetest.Memory
	wait func()
}

func (s slowAnswers) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	v, err := s.Memory.GetWithTTL(ctx, key)
	s.wait()
	return v, err
}

func (s slowAnswers) MGetWithTTL(ctx context.Context, keys ...string) (map[string]remote.Value, error) {
	v, err := s.Memory.MGetWithTTL(ctx, keys...)
	s.wait()
	return v, err
}

func TestPoint7AReadAfterAChangeDoesNotJoinAnOlderLoad(t *testing.T) {
	for changeName, change := range changes {
		for readerName, read := range readers {
			if readerName == "Set with Do" {
				continue // nobody joins it
			}
			t.Run(changeName+" during "+readerName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := both(t)
					go func() { _ = read(n, time.Minute) }()
					time.Sleep(time.Second)
					if err := change.do(n); err != nil {
						t.Fatal(err)
					}
					start := time.Now()
					s, err := onceString(n, "k:1", returns("new", nil))
					if s != "new" || err != nil || time.Since(start) != 0 {
						t.Errorf("Once: %q, %v after %s", s, err, time.Since(start))
					}
					n.expectStored(t, "k:1", "new", "new")
					got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, nil)
					if got[1] != "new" || err != nil || time.Since(start) != 0 {
						t.Errorf("MGet: %v, %v after %s", got, err, time.Since(start))
					}
					time.Sleep(2 * time.Minute)
					n.expectStored(t, "k:1", "new", "new")
				})
			})
		}
	}
}

// A read that begins while a Delete is on its way may see the old value, but must not
// keep it.
func TestPoint7AReadDuringADeleteDoesNotFillAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		n.remote.Put("k", "old")
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "del" {
				time.Sleep(2 * time.Second)
			}
			return nil
		})
		n.Cache.Close()
		n.Cache = cache.New(cache.WithLocal(n.local), cache.WithStatsDisabled(true),
			cache.WithRemote(slowAnswers{n.remote, func() { time.Sleep(3 * time.Second) }}))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := n.Delete(ctx, "k"); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		if err := n.Get(ctx, "k", nil); err != nil {
			t.Errorf("Get: %v", err)
		}
		wg.Wait()
		n.expectStored(t, "k", "-", "-")
	})
}

func TestPoint8WritesGoToTheRemoteFirst(t *testing.T) {
	n := both(t)
	_ = n.Set(ctx, "k", cache.Value("old"))
	n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
		if got := n.inLocal("k"); got != "old" {
			t.Errorf("during the remote's %s, local holds %q", op, got)
		}
		return nil
	})
	if err := n.Set(ctx, "k", cache.Value("new")); err != nil {
		t.Fatal(err)
	}
	n.remote.SetFault(nil)
	n.expectStored(t, "k", "new", "new")
}

func TestPoint8ARefusedWriteChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		set := func(v string, opts ...cache.ItemOption) {
			t.Helper()
			if err := n.Set(ctx, "k", append(opts, cache.Value(v))...); err != nil {
				t.Fatal(err)
			}
		}
		set("refused", cache.SetXX(true))
		n.expectStored(t, "k", "-", "-")
		set("first", cache.SetNX(true))
		n.expectStored(t, "k", "first", "first")
		set("refused", cache.SetNX(true))
		n.expectStored(t, "k", "first", "first")
		set("second", cache.SetNX(true), cache.SetXX(true)) // XX wins
		n.expectStored(t, "k", "second", "second")
		if got := events.take(); got != "1:k 1:k" {
			t.Errorf("events %q", got)
		}
		// A load whose write-back is refused: the caller gets its value.
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "get" {
				return errBoom
			}
			return nil
		})
		n.DeleteFromLocalCache("k")
		if s, err := onceString(n, "k", returns("loaded", nil), cache.SetNX(true)); s != "loaded" || err != nil {
			t.Errorf("Once: %q, %v", s, err)
		}
		n.expectStored(t, "k", "-", "second")
		if got := events.take(); got != "" {
			t.Errorf("events %q", got)
		}
	})
}

func TestPoint8ConditionsHoldInALocalCacheToo(t *testing.T) {
	n := onlyLocal(t)
	for _, step := range []struct {
		v    string
		opt  cache.ItemOption
		want string
	}{
		{"a", cache.SetXX(true), "-"}, {"b", cache.SetNX(true), "b"}, {"c", cache.SetNX(true), "b"}, {"d", cache.SetXX(true), "d"},
	} {
		if err := n.Set(ctx, "k", cache.Value(step.v), step.opt); err != nil || n.inLocal("k") != step.want {
			t.Errorf("after %q local holds %q, %v, want %q", step.v, n.inLocal("k"), err, step.want)
		}
	}
}

func TestPoint8AFailedRemoteWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		_ = n.Set(ctx, "k", cache.Value("old"))
		events.take()
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		if err := n.Set(ctx, "k", cache.Value("new")); !errors.Is(err, errBoom) {
			t.Errorf("Set: %v", err)
		}
		n.expectStored(t, "k", "-", "old")
		if got := events.take(); got != "" {
			t.Errorf("events %q", got)
		}
		if err := n.Delete(ctx, "k"); !errors.Is(err, errBoom) {
			t.Errorf("Delete: %v", err)
		}
		// What a loader returns is given to the caller and kept in local.
		if s, err := onceString(n, "k", returns("loaded", nil)); s != "loaded" || err != nil {
			t.Errorf("Once: %q, %v", s, err)
		}
		n.expectStored(t, "k", "loaded", "old")
		got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "m", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
			return map[int]string{1: "one"}, nil
		})
		if got[1] != "one" || !errors.Is(err, errBoom) {
			t.Errorf("MGetWithErr: %v, %v", got, err)
		}
		n.expectStored(t, "m:1", "one", "-")
		n.expectStored(t, "m:2", "*", "-")
	})
}

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

func TestPoint9LocalLivesNoLongerThanTheItem(t *testing.T) {
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

func TestPoint9InALocalCacheTheTTLIsTheItems(t *testing.T) {
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

func TestPoint9SetWithSkipLocalRemovesTheOldLocalEntry(t *testing.T) {
	n := both(t)
	_ = n.Set(ctx, "k", cache.Value("old"))
	if err := n.Set(ctx, "k", cache.Value("new"), cache.SkipLocal(true)); err != nil {
		t.Fatal(err)
	}
	n.expectStored(t, "k", "-", "new")
}

func TestPoint9AStoreWithoutTTLsStillWorks(t *testing.T) {
	n := &node{local: &mapLocal{m: map[string][]byte{}}, remote: remotetest.NewMemory(), counts: &recStats{}}
	n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithRemote(n.remote)})
	if err := n.Set(ctx, "k", cache.Value("v"), cache.TTL(time.Second)); err != nil {
		t.Fatal(err)
	}
	n.expectStored(t, "k", "v", "v")
}

// mapLocal is a user's own store: just the three methods.
type mapLocal struct {
	mu sync.Mutex
	m  map[string][]byte // guarded by mu
}

func (l *mapLocal) Set(key string, data []byte) { l.mu.Lock(); defer l.mu.Unlock(); l.m[key] = data }
func (l *mapLocal) Get(key string) ([]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.m[key]
	return d, ok
}
func (l *mapLocal) Del(key string) { l.mu.Lock(); defer l.mu.Unlock(); delete(l.m, key) }

var _ local.Local = (*mapLocal)(nil)

func TestPoint10TTLsAreExact(t *testing.T) {
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

func TestPoint11PlaceholdersOfTheRemoteAreKeptInLocal(t *testing.T) {
	reads := map[string]func(n *node) error{
		"Get":  func(n *node) error { return n.Get(ctx, "k", nil) },
		"Once": func(n *node) error { return n.Once(ctx, "k", never(t)) },
		"MGet": func(n *node) error {
			got, err := cache.NewT[string, string](n.Cache).MGetWithErr(ctx, "", []string{"k"}, nil)
			if err == nil && len(got) == 0 {
				return cache.ErrNotFound
			}
			return fmt.Errorf("got %v, %w", got, err)
		},
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := both(t, cache.WithSeparatorDisabled(true))
				_ = n.remote.SetEX(ctx, "k", "*", 900*time.Millisecond)
				time.Sleep(400 * time.Millisecond)
				if err := read(n); !errors.Is(err, cache.ErrNotFound) {
					t.Errorf("the first read: %v", err)
				}
				n.expectStored(t, "k", "*", "*")
				before := n.remote.Calls("get") + n.remote.Calls("mget")
				if err := read(n); !errors.Is(err, cache.ErrNotFound) {
					t.Errorf("the second read: %v", err)
				}
				if n.remote.Calls("get")+n.remote.Calls("mget") != before {
					t.Error("the second read asked the remote")
				}
				if got := n.localLifetime(t, "k"); got != 500*time.Millisecond {
					t.Errorf("local kept it for %s, want 500ms", got)
				}
			})
		})
	}
}
