package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// Tests of bugs that were found and mended.

func TestAPanicWithTheNotFoundErrorIsAPanic(t *testing.T) {
	n := both(t)
	explode := cache.Do(func(context.Context) (any, error) { panic(fmt.Errorf("load: %w", cache.ErrNotFound)) })
	var p *cache.PanicError
	if _, err := onceString(n, "k", explode); !errors.As(err, &p) {
		t.Errorf("Once: %v", err)
	}
	if err := n.Set(ctx, "k", explode); !errors.As(err, &p) {
		t.Errorf("Set: %v", err)
	}
	n.expectStored(t, "k", "-", "-")
	if got := n.counts.take(); got != "m lm rm q*2 qf*2" {
		t.Errorf("counted %q", got)
	}
}

func TestTypedPointersToTextAndBytes(t *testing.T) {
	n := both(t)
	s, b := "text", []byte("bytes")
	texts, byteses := cache.NewT[int, *string](n.Cache), cache.NewT[int, *[]byte](n.Cache)
	for range 2 { // loaded, then from local
		got, err := texts.Get(ctx, "s", 1, func(context.Context, int) (*string, error) { return &s, nil })
		if err != nil || *got != s || got == &s {
			t.Errorf("got %v, %v", got, err)
		}
		gotBytes, err := byteses.Get(ctx, "b", 1, func(context.Context, int) (*[]byte, error) { return &b, nil })
		if err != nil || string(*gotBytes) != string(b) {
			t.Errorf("got %v, %v", gotBytes, err)
		}
	}
}

func TestReadersDoNotWaitForARefreshOfWhatTheRemoteHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := onlyRemote(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		load := &counter{}
		_, _ = onceString(n, "k:1", load.do(), cache.Refresh(true))
		load.become(5*time.Second, errBoom)
		pass(interval + spread)
		n.counts.take()
		start := time.Now()
		if s, err := onceString(n, "k:1", load.do()); s != "1" || err != nil || time.Since(start) != 0 {
			t.Errorf("Once during a refresh: %q, %v after %s", s, err, time.Since(start))
		}
		got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, nil)
		if got[1] != "1" || err != nil || time.Since(start) != 0 {
			t.Errorf("MGet during a refresh: %v, %v after %s", got, err, time.Since(start))
		}
		if got := n.counts.take(); got != "h*2 rh*2" {
			t.Errorf("counted %q", got)
		}
		// What the remote does not have, they do wait for.
		_, _ = n.remote.Del(ctx, "k:1")
		if _, err := onceString(n, "k:1", load.do()); !errors.Is(err, errBoom) || load.calls() != 2 {
			t.Errorf("Once of a missing key: %v, %d loads", err, load.calls())
		}
	})
}

func TestSetWithDoThatMayBeOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		_ = n.Set(ctx, "k", cache.Value("old"))
		go func() {
			time.Sleep(time.Second)
			n.DeleteFromLocalCache("k")
		}()
		if err := n.Set(ctx, "k", returnsAfter(2*time.Second, "loaded", nil)); err != nil {
			t.Fatal(err)
		}
		n.expectStored(t, "k", "-", "-") // the next read loads

		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				if err := n.Set(ctx, "k", returnsAfter(2*time.Second, fmt.Sprint("loaded ", i), nil)); err != nil {
					t.Error(err)
				}
			})
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

func TestConditionsHoldWhereTheRemoteIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		set := func(v string, opt cache.ItemOption) {
			if err := n.Set(ctx, "k", cache.Value(v), cache.TTL(-1), opt); err != nil {
				t.Error(err)
			}
		}
		set("refused", cache.SetXX(true))
		n.expectStored(t, "k", "-", "-")
		set("first", cache.SetNX(true))
		set("refused", cache.SetNX(true))
		n.expectStored(t, "k", "first", "-")
		if got := events.take(); got != "1:k" {
			t.Errorf("events %q", got)
		}
	})
}

func TestLoadersThatWaitForThemselvesInRoundaboutWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		strs := cache.NewT[string, string](n.Cache)
		_, err := onceString(n, "k:a", cache.Do(func(context.Context) (any, error) {
			// All with a ctx that is not the loader's.
			got, err := strs.MGetWithErr(ctx, "k", []string{"b"}, func(context.Context, []string) (map[string]string, error) {
				s, err := onceString(n, "k:a", returns("v", nil))
				return map[string]string{"b": s}, err
			})
			return got["b"], err
		}))
		if !errors.Is(err, cache.ErrLoaderCycle) {
			t.Errorf("over a batch: %v", err)
		}
		_, err = onceString(n, "k", cache.Do(func(ctx context.Context) (any, error) {
			if err := n.Set(ctx, "other", returns("v", nil)); err != nil {
				return nil, err
			}
			return onceString(n, "k", returns("v", nil))
		}))
		if !errors.Is(err, cache.ErrLoaderCycle) {
			t.Errorf("after another loader: %v", err)
		}
	})
}

func TestARemoteThatPanicsDoesNotBlockItsKeys(t *testing.T) {
	n := both(t)
	n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
		if op != "get" && op != "mget" {
			panic("remote " + op)
		}
		return nil
	})
	for _, call := range []func(){
		func() { _ = n.Set(ctx, "k:1", cache.Value("v")) },
		func() { _ = n.Delete(ctx, "k:1") },
	} {
		if text := panicText(call); !strings.Contains(text, "remote ") {
			t.Errorf("panicked with %q", text)
		}
	}
	var p *cache.PanicError
	if _, err := onceString(n, "k:1", returns("v", nil)); !errors.As(err, &p) {
		t.Errorf("Once: %v", err)
	}
	load := func(context.Context, []int) (map[int]string, error) { return map[int]string{1: "v"}, nil }
	got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, load)
	if !errors.As(err, &p) || got[1] != "v" {
		t.Errorf("MGet: %v, %v", got, err)
	}
	n.remote.SetFault(nil)
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := n.Set(short, "k:1", cache.Value("w")); err != nil {
		t.Errorf("Set afterwards: %v", err)
	}
	n.expectStored(t, "k:1", "w", "w")
}

// explosive panics when it is encoded.
type explosive struct{ Fuse bool }

func (e explosive) MarshalText() ([]byte, error) {
	if e.Fuse {
		panic("the fuse burns")
	}
	return []byte("dud"), nil
}

func (e *explosive) UnmarshalText([]byte) error { return nil }

func TestAValueThatPanicsWhenEncoded(t *testing.T) {
	n := both(t, cache.WithCodec("json"))
	things := cache.NewT[int, explosive](n.Cache)
	got, err := things.MGetWithErr(ctx, "k", []int{1, 2}, func(context.Context, []int) (map[int]explosive, error) {
		return map[int]explosive{1: {true}, 2: {}}, nil
	})
	if len(got) != 2 || err == nil || !strings.Contains(err.Error(), "the fuse burns") {
		t.Errorf("got %v, %v", got, err)
	}
	n.expectStored(t, "k:2", `"dud"`, `"dud"`)
	if err := things.Set(ctx, "k", 3, explosive{true}); err == nil {
		t.Error("Set: no error")
	}
}

func TestALoaderThatExitsDoesNotSpoilTheRestOfABatch(t *testing.T) {
	n := both(t)
	n.remote.Put("k:1", "there")
	got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
		runtime.Goexit()
		return nil, nil
	})
	if got[1] != "there" || len(got) != 1 || err == nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got := n.counts.take(); got != "h m lm*2 rh rm q qf" {
		t.Errorf("counted %q", got)
	}
}

func TestAPanicThroughAWrapperIsAnError(t *testing.T) {
	n := both(t)
	var p *cache.PanicError
	_, err := cache.NewT[int, string](&countingCache{Cache: n.Cache, calls: map[string]int{}}).MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int]string, error) { panic("boom") })
	if !errors.As(err, &p) {
		t.Errorf("got %v", err)
	}
}

// opaqueCache wraps a Cache so that T cannot see it.
type opaqueCache struct{ *countingCache }

func TestAWrapperThatHidesItsSettings(t *testing.T) {
	n := both(t, cache.WithErrNotFound(errBoom))
	c := opaqueCache{&countingCache{Cache: n.Cache, calls: map[string]int{}}}
	got, err := cache.NewT[int, string](c).MGetWithErr(ctx, "k", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
		return map[int]string{1: "v"}, nil
	})
	if got[1] != "v" || len(got) != 1 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAHandlerThatExitsDoesNotEndTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		n := both(t, cache.WithSyncLocal(true), cache.WithEventHandler(func(*cache.Event) {
			if calls.Add(1) == 1 {
				runtime.Goexit()
			}
		}))
		for i := range 3 {
			_ = n.Set(ctx, fmt.Sprint(i), cache.Value("v"))
		}
		synctest.Wait()
		if calls.Load() != 3 {
			t.Errorf("the handler was called %d times, want 3", calls.Load())
		}
	})
}

func TestAnAbandonedLoadDoesNotOverwriteANewerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, _ = onceStringCtx(short, n, "k", returnsAfter(time.Minute, "old", nil)) // does not heed its ctx
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

func TestARefreshOfWhatIsOnlyLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		load := &counter{}
		var nodes []*node
		for range 2 {
			n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
			nodes = append(nodes, n)
			_, _ = onceString(n, "k", load.do(), cache.Refresh(true), cache.TTL(-1))
		}
		pass(interval + spread)
		for _, n := range nodes { // each loads for itself
			if got := n.inLocal("k"); got != "3" && got != "4" {
				t.Errorf("local holds %q", got)
			}
		}
		if len(m.Keys()) != 0 {
			t.Errorf("the remote has %v", m.Keys())
		}
	})
}

func TestCloseWaitsForLoadsThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		n := both(t)
		abandon := func(took time.Duration) {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, _ = onceStringCtx(short, n, took.String(), returnsAfter(took, "v", nil))
		}
		abandon(3 * time.Second)
		start := time.Now()
		n.Close()
		if took := time.Since(start); took != 2*time.Second || len(log.matching("loader")) != 0 {
			t.Errorf("Close took %s, logged %q", took, log.lines)
		}
		abandon(time.Hour)
		start = time.Now()
		n.Close()
		if took := time.Since(start); took != 5*time.Second || len(log.matching("should end when its ctx does")) != 1 {
			t.Errorf("Close took %s, logged %q", took, log.lines)
		}
		time.Sleep(time.Hour)
	})
}

// slowWrites is a Remote whose writes take their time after having written.
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

func TestConcurrentSetsLeaveAValue(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...cache.Option) *node{"local": onlyLocal, "both": both} {
		n := open(t)
		for range 300 {
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					if err := n.Set(ctx, "k", cache.Value(fmt.Sprint(i))); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if _, ok := n.local.Get("k"); !ok {
				t.Fatalf("%s: after four Sets at a time, local holds nothing", name)
			}
			if n.remote != nil && n.inLocal("k") != n.inRemote("k") {
				t.Fatalf("local holds %q, the remote %q", n.inLocal("k"), n.inRemote("k"))
			}
		}
	}
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

// What a Set with Do does when something else happened while Do ran.
func TestSetWithDoAndWhatCameInBetween(t *testing.T) {
	invalidate := func(n *node) { n.DeleteFromLocalCache("k") }
	tests := []struct {
		name              string
		meanwhile         func(n *node)
		opts              []cache.ItemOption
		inLocal, inRemote string
	}{
		{"a refused Set", func(n *node) { _ = n.Set(ctx, "k", cache.Value("x"), cache.SetNX(true)) }, nil, "loaded", "loaded"},
		{"a failed Set", func(n *node) {
			n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
			_ = n.Set(ctx, "k", cache.Value("x"))
			n.remote.SetFault(nil)
		}, nil, "loaded", "loaded"},
		{"a Set", func(n *node) { _ = n.Set(ctx, "k", cache.Value("given")) }, nil, "given", "given"},
		{"a Delete", func(n *node) { _ = n.Delete(ctx, "k") }, nil, "-", "-"},
		{"an invalidation", invalidate, nil, "-", "-"},
		{"an invalidation, with NX", invalidate, []cache.ItemOption{cache.SetNX(true)}, "-", "old"},
		{"an invalidation, with XX", invalidate, []cache.ItemOption{cache.SetXX(true)}, "-", "old"},
		{"an invalidation, with a TTL below zero", invalidate, []cache.ItemOption{cache.TTL(-1)}, "-", "old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := both(t)
			_ = n.Set(ctx, "k", cache.Value("old"))
			err := n.Set(ctx, "k", append(tt.opts, cache.Do(func(context.Context) (any, error) {
				tt.meanwhile(n)
				return "loaded", nil
			}))...)
			if err != nil {
				t.Error(err)
			}
			n.expectStored(t, "k", tt.inLocal, tt.inRemote)
		})
	}
	t.Run("a Set that was under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := both(t)
			n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "set" {
					time.Sleep(time.Second)
				}
				return nil
			})
			go func() { _ = n.Set(ctx, "k", cache.Value("given")) }()
			synctest.Wait()
			if err := n.Set(ctx, "k", returns("loaded", nil)); err != nil {
				t.Error(err)
			}
			n.expectStored(t, "k", "given", "given")
		})
	})
}

func TestAConditionIsNotDecidedWithoutTheRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "setxx" {
				time.Sleep(time.Second)
			}
			return nil
		})
		go func() { _ = n.Set(ctx, "k", cache.Value("x"), cache.SetXX(true)) }() // holds the lane, and is refused
		synctest.Wait()
		if s, err := onceString(n, "k", returns("loaded", nil), cache.SetXX(true)); s != "loaded" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
		time.Sleep(2 * time.Second)
		n.expectStored(t, "k", "-", "-")
	})
}

func TestReadingDuringARefreshReportsRedisTroubleAndFillsLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		load := &counter{}
		_, _ = onceString(n, "k:1", load.do(), cache.Refresh(true))
		load.become(5*time.Second, nil)
		pass(interval + spread)
		n.local.Del("k:1")
		strs := cache.NewT[int, string](n.Cache)
		if got, err := strs.MGetWithErr(ctx, "k", []int{1}, nil); got[1] != "1" || err != nil || n.inLocal("k:1") != "1" {
			t.Errorf("got %v, %v, local %q", got, err, n.inLocal("k:1"))
		}
		n.local.Del("k:1")
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "mget" {
				return errBoom
			}
			return nil
		})
		if got, err := strs.MGetWithErr(ctx, "k", []int{1}, nil); got[1] != "2" || !errors.Is(err, errBoom) {
			t.Errorf("got %v, %v", got, err)
		}
	})
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

type aliased = cache.Cache

// aliasCache embeds a Cache under a name that is not exported.
type aliasCache struct{ aliased }

func TestAWrapperWithAnAlias(t *testing.T) {
	n := both(t)
	if v, err := cache.NewT[int, string](aliasCache{n.Cache}).Get(ctx, "k", 1, func(context.Context, int) (string, error) { return "v", nil }); v != "v" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
}

// A loader that uses its caller's ctx from outside ends with that caller, but not the
// others who wait.
func TestALoaderThatUsesItsCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		load := func(ctx context.Context) cache.ItemOption {
			return cache.Do(func(context.Context) (any, error) {
				select {
				case <-time.After(2 * time.Second):
					return "v", nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			})
		}
		go func() { _, _ = onceStringCtx(short, n, "k:1", load(short)) }()
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() {
			if s, err := onceString(n, "k:1", load(ctx)); s != "v" || err != nil {
				t.Errorf("Once: %q, %v", s, err)
			}
		})
		wg.Go(func() {
			got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int]string, error) {
				return map[int]string{1: "v"}, nil
			})
			if got[1] != "v" || err != nil {
				t.Errorf("MGet: %v, %v", got, err)
			}
		})
		wg.Wait()
	})
}

func TestAPlaceholderOfAnItemThatIsOnlyLocal(t *testing.T) {
	n := both(t)
	_, _ = onceString(n, "k", returns(nil, cache.ErrNotFound), cache.TTL(-1))
	n.expectStored(t, "k", "*", "-")
}

// sour decodes into the error of a record that does not exist.
type sour struct{ N int }

func (s *sour) UnmarshalJSON([]byte) error { return fmt.Errorf("sour: %w", cache.ErrNotFound) }

// Bytes that cannot be decoded are loaded again by MGet, whatever the error wraps.
func TestDamagedIsNotAbsent(t *testing.T) {
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			s := store(t)
			c := cache.New(cache.WithLocal(s), cache.WithCodec("json"), cache.WithStatsDisabled(true))
			defer c.Close()
			s.Set("k:1", []byte(`{"N":1}`))
			asked := 0
			found, _ := cache.NewT[int, sour](c).MGetWithErr(ctx, "k", []int{1}, func(_ context.Context, ids []int) (map[int]sour, error) {
				asked++
				return map[int]sour{1: {2}}, nil
			})
			if asked != 1 || found[1].N != 2 {
				t.Errorf("asked %d times, got %v", asked, found)
			}
		})
	}
}
