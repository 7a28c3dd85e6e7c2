package cache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// A load or a read that began before a change never stores its older value.

// changes are the calls that invalidate older loads and reads of the key "k:1".
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

// slowAnswers is a Remote whose reads wait between reading the value and returning it.
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

func TestALoadThatAChangeOvertookWritesNothing(t *testing.T) {
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

// The change comes while the write-back is under way. In the end, the levels must hold the change.
func TestAWriteBackUnderWayDoesNotOutliveAChange(t *testing.T) {
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
					// An invalidation does not touch the remote's value, which may be newer.
					if r := n.inRemote("k:1"); changeName != "DeleteFromLocalCache" && r != change.inRemote {
						t.Errorf("the remote holds %q, want %q", r, change.inRemote)
					}
				})
			})
		}
	}
}

func TestARemoteReadThatAChangeOvertookDoesNotFillLocal(t *testing.T) {
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
					// The remote reads the value before the change and answers after it.
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

func TestAReadAfterAChangeDoesNotJoinAnOlderLoad(t *testing.T) {
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

// A read that begins during a Delete may return the old value, but must not fill local with it.
func TestAReadDuringADeleteDoesNotFillAfterIt(t *testing.T) {
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

func TestAnInvalidationWhileTheRemoteIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "set" || op == "mset" {
				time.Sleep(2 * time.Second)
			}
			return nil
		})
		go func() { _, _ = onceString(n, "once", returns("old", nil)) }()
		go func() {
			_, _ = cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "mget", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
				return map[int]string{1: "old", 2: "other"}, nil
			})
		}()
		time.Sleep(time.Second)
		n.DeleteFromLocalCache("once")
		n.DeleteFromLocalCache("mget:1")
		// A load that begins now is kept, if only in local while the other is under way.
		if s, err := onceString(n, "once", returns("new", nil)); s != "new" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		n.expectStored(t, "once", "new", "-")
		time.Sleep(3 * time.Second)
		n.expectStored(t, "once", "new", "-")
		n.expectStored(t, "mget:1", "-", "-")
		n.expectStored(t, "mget:2", "other", "other")
	})
}

func TestAnAbandonedLoadDoesNotOverwriteANewerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, _ = onceStringCtx(short, n, "k", returnsAfter(time.Minute, "old", nil)) // the loader ignores its ctx
		if s, err := onceString(n, "k", returns("new", nil)); s != "new" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		time.Sleep(2 * time.Minute)
		n.expectStored(t, "k", "new", "new")
	})
}

func TestAnOlderReadDoesNotOverwriteALoadInLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		m.Put("k", "old")
		slow := slowAnswers{m, func() { time.Sleep(2 * time.Second) }}
		n := &node{local: stores["TinyLFU"](t), remote: m, counts: &recStats{}}
		n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithRemote(slow)})
		go func() { _ = n.Get(ctx, "k", nil) }()
		time.Sleep(time.Second)
		_, _ = m.Del(ctx, "k") // another node
		if s, err := onceString(n, "k", returns("new", nil)); s != "new" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		time.Sleep(5 * time.Second)
		n.expectStored(t, "k", "new", "new")
	})
}

func TestAnOvertakenFillIsUndoneEvenIfItsCallersHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		n := &node{local: stores["TinyLFU"](t), remote: m, counts: &recStats{}}
		n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithRemote(slowWrites{m})})
		short, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
		defer cancel()
		go func() { _, _ = onceStringCtx(short, n, "once", returns("old", nil)) }()
		go func() {
			_, _ = cache.NewT[int, string](n.Cache).MGetWithErr(short, "mget", []int{1}, func(context.Context, []int) (map[int]string, error) {
				return map[int]string{1: "old"}, nil
			})
		}()
		time.Sleep(500 * time.Millisecond)
		n.DeleteFromLocalCache("once")
		n.DeleteFromLocalCache("mget:1")
		time.Sleep(5 * time.Second)
		n.expectStored(t, "once", "-", "-")
		n.expectStored(t, "mget:1", "-", "-")
	})
}
