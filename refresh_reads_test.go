package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// What readers and writers of a key see while a refresh of it runs.

func TestARefreshObeysTheFillRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, load := refreshed(t)
		load.become(5*time.Second, nil)
		pass(interval + spread)
		if load.calls() != 2 {
			t.Fatalf("%d loads", load.calls())
		}
		_ = n.Set(ctx, "k", cache.Value("set meanwhile"))
		pass(5 * time.Second)
		n.expectStored(t, "k", "set meanwhile", "set meanwhile")
	})
}

func TestARefreshSharesItsLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, load := refreshed(t)
		load.become(5*time.Second, nil)
		pass(interval + spread)
		n.local.Del("k")
		_, _ = n.remote.Del(ctx, "k")
		if s, err := onceString(n, "k", load.do()); s != "2" || err != nil || load.calls() != 2 {
			t.Errorf("a reader during the refresh got %q, %v; %d loads", s, err, load.calls())
		}
	})
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
		// Readers wait for the refresh if the remote does not have the value.
		_, _ = n.remote.Del(ctx, "k:1")
		if _, err := onceString(n, "k:1", load.do()); !errors.Is(err, errBoom) || load.calls() != 2 {
			t.Errorf("Once of a missing key: %v, %d loads", err, load.calls())
		}
	})
}

func TestMGetDuringARefreshReportsRemoteFailuresAndFillsLocal(t *testing.T) {
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
			if op == "get" { // what a batch of one key calls
				return errBoom
			}
			return nil
		})
		if got, err := strs.MGetWithErr(ctx, "k", []int{1}, nil); got[1] != "2" || !errors.Is(err, errBoom) {
			t.Errorf("got %v, %v", got, err)
		}
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

// Reads that call no loader do not keep a refresh from loading, however many it joins.
func TestReadsDoNotKeepARefreshFromLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := onlyRemote(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		n.remote.SetLatency(time.Millisecond)
		var stopped atomic.Bool
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for !stopped.Load() {
					_, _ = onceString(n, "k")
				}
			})
		}
		time.Sleep(3*interval + spread)
		stopped.Store(true)
		wg.Wait()
		if got := load.calls(); got < 2 { // a refresh joins some of the reads first, and loads later
			t.Errorf("%d loads in three intervals: no refresh has loaded", got)
		}
	})
}
