package cache_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// counter is a loader that counts its calls and returns their number.
type counter struct {
	mu    sync.Mutex
	count int           // guarded by mu
	err   error         // guarded by mu
	took  time.Duration // guarded by mu
}

func (l *counter) do() cache.ItemOption {
	return cache.Do(func(ctx context.Context) (any, error) {
		l.mu.Lock()
		l.count++
		v, err, took := strconv.Itoa(l.count), l.err, l.took
		l.mu.Unlock()
		select {
		case <-time.After(took):
			return v, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

func (l *counter) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// become changes what later calls do.
func (l *counter) become(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took, l.err = took, err
}

// refreshed opens a node with both levels that refreshes "k", and goes on when nobody asks.
func refreshed(t *testing.T) (*node, *counter) {
	t.Helper()
	n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
	load := &counter{}
	if _, err := onceString(n, "k", load.do(), cache.Refresh(true)); err != nil {
		t.Fatal(err)
	}
	return n, load
}

const interval = 10 * time.Second

// spread is by how much a task may run earlier or later than its interval.
const spread = interval / 20

func TestRefreshLoadsEveryInterval(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...cache.Option) *node{"both": both, "remote": onlyRemote, "local": onlyLocal} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := open(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
				load := &counter{}
				if s, err := onceString(n, "k", load.do(), cache.Refresh(true)); s != "1" || err != nil {
					t.Fatalf("got %q, %v", s, err)
				}
				if n.TaskSize() != 1 {
					t.Errorf("%d tasks", n.TaskSize())
				}
				pass(interval - spread - time.Millisecond)
				if load.calls() != 1 {
					t.Errorf("%d loads before the first interval was over", load.calls())
				}
				pass(2*spread + time.Millisecond)
				for i := 2; i < 6; i++ {
					var s string
					if err := n.Get(ctx, "k", &s); err != nil || s != strconv.Itoa(i) || load.calls() != i {
						t.Errorf("in interval %d: %q, %v, %d loads", i, s, err, load.calls())
					}
					pass(interval)
				}
			})
		})
	}
}

func TestRefreshEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recEvents{}
		n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour), cache.WithSyncLocal(true), cache.WithEventHandler(events.handle))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		pass(interval + spread)
		load.become(0, cache.ErrNotFound)
		pass(interval)
		load.become(0, errBoom)
		pass(interval)
		if got := events.take(); got != "2:k 3:k 3:k" {
			t.Errorf("events %q", got)
		}
	})
}

func TestOneNodeOfTheFleetLoadsPerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		load := &counter{took: 100 * time.Millisecond}
		var nodes []*node
		for range 4 {
			n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
			nodes = append(nodes, n)
			if _, err := onceString(n, "k", load.do(), cache.Refresh(true)); err != nil {
				t.Fatal(err)
			}
		}
		if load.calls() != 1 {
			t.Fatalf("%d loads at first", load.calls())
		}
		for i := range 10 {
			// The winner loads, the others look after a fifth of the interval.
			pass(interval)
			if i == 0 {
				pass(spread + interval/5)
			}
			if load.calls() != i+2 {
				t.Errorf("interval %d: %d loads", i+1, load.calls())
			}
			for j, n := range nodes {
				if got := n.inLocal("k"); got != strconv.Itoa(i+2) {
					t.Errorf("interval %d: node %d has %q in local", i+1, j, got)
				}
			}
		}
	})
}

func TestTheRefreshLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		load := &counter{}
		start := time.Now()
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		pass(interval + spread)
		stamp, ok := m.Peek("k_#RL#")
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		if !ok || err != nil || seconds < start.Unix() || seconds > time.Now().Unix() {
			t.Errorf("the lock holds %q, want the time in seconds", stamp)
		}
		ttl, _ := m.TTL("k_#RL#")
		if ttl > interval-10*time.Millisecond || ttl < interval-10*time.Millisecond-2*spread {
			t.Errorf("the lock has %s left", ttl)
		}
	})
}

func TestAFailedLoadReleasesTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		m := remotetest.NewMemory()
		n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		load.become(0, errBoom)
		pass(interval + spread)
		if _, ok := m.Peek("k_#RL#"); ok || load.calls() != 2 {
			t.Errorf("after a failed load (%d loads) the lock is there: %v", load.calls(), ok)
		}
		if got := log.matching("refreshing \"k\" failed: boom"); len(got) != 1 {
			t.Errorf("logged %q", log.lines)
		}
		if n.inLocal("k") != "1" {
			t.Errorf("the old value is gone: %q", n.inLocal("k"))
		}
		// Another's lock stays.
		m.Put("k_#RL#", "123")
		pass(interval)
		if got, _ := m.Peek("k_#RL#"); got != "123" || load.calls() != 2 {
			t.Errorf("the lock of another node is %q, %d loads", got, load.calls())
		}
	})
}

func TestAValueGoneFromTheRemoteGoesFromLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		load := &counter{}
		_, _ = onceString(n, "k", load.do(), cache.Refresh(true))
		m.Put("k_#RL#", "another node holds it")
		if _, err := m.Del(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		pass(interval + spread)
		if n.inLocal("k") != "-" || load.calls() != 1 {
			t.Errorf("local holds %q, %d loads", n.inLocal("k"), load.calls())
		}
	})
}

func TestTheNewestLoaderAndOptionsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour))
		old, newest := &counter{}, &counter{}
		_, _ = onceString(n, "k", old.do(), cache.Refresh(true))
		_, _ = onceString(n, "k", newest.do(), cache.Refresh(true), cache.TTL(77*time.Second))
		pass(interval + spread)
		ttl, _ := n.remote.TTL("k")
		if old.calls() != 1 || newest.calls() != 1 || ttl > 77*time.Second || ttl < 70*time.Second {
			t.Errorf("%d and %d loads, the TTL is %s", old.calls(), newest.calls(), ttl)
		}
	})
}

func TestRefreshWithoutDoIsLoggedOnce(t *testing.T) {
	log := captureLog(t)
	n := both(t, cache.WithRefreshDuration(interval))
	_ = n.Set(ctx, "k", cache.Value("v"))
	for range 3 {
		if s, err := onceString(n, "k", cache.Refresh(true)); s != "v" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
	}
	if got := log.matching("Refresh(true) without Do"); len(got) != 1 || n.TaskSize() != 0 {
		t.Errorf("%d tasks, logged %q", n.TaskSize(), got)
	}
}

func TestARefreshWithTheRemoteDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := refreshed(t)
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		pass(3 * interval)
		if s := n.inLocal("k"); s != "1" || n.counts.remoteErrors() == 0 {
			t.Errorf("local holds %q, %d remote errors", s, n.counts.remoteErrors())
		}
		n.remote.SetFault(nil)
		pass(interval + spread)
		if s, err := onceString(n, "k"); s == "1" || err != nil || errors.Is(err, errBoom) {
			t.Errorf("when it is back: %q, %v", s, err)
		}
	})
}
