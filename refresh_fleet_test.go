package cache_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// Several nodes refresh one key, and some of them fail.

// fleetNode opens a node on m that refreshes "k" with load.
func fleetNode(t *testing.T, m *remotetest.Memory, load cache.ItemOption, opts ...cache.ItemOption) *node {
	t.Helper()
	n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(cache.NeverStopRefresh))
	if _, err := onceString(n, "k", append(opts, load, cache.Refresh(true))...); err != nil {
		t.Fatal(err)
	}
	return n
}

// If the answer to one try for the lock is slow, the next interval still has its load.
func TestALockOfTheLastIntervalIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		load := &counter{}
		fleetNode(t, m, load.do())
		var tries atomic.Int32
		m.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "setnx" && tries.Add(1)%2 == 1 {
				time.Sleep(50 * time.Millisecond)
			}
			return nil
		})
		pass(10*interval + spread)
		if n := load.calls() - 1; n < 9 || n > 10 {
			t.Errorf("%d loads in 10 intervals", n)
		}
	})
}

func TestAHealthyNodeTakesOverFromOneWhoseLoaderFails(t *testing.T) {
	for _, took := range []time.Duration{0, time.Second, 4 * time.Second} {
		t.Run(took.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := remotetest.NewMemory()
				bad, good := &counter{}, &counter{}
				fleetNode(t, m, bad.do())
				bad.become(took, errBoom)
				time.Sleep(time.Second)
				b := fleetNode(t, m, good.do())
				pass(20 * interval)
				if n := good.calls(); n < 9 || b.inLocal("k") == "1" { // at the least every other interval
					t.Errorf("the healthy node loaded %d times in 20 intervals, the other %d times; local holds %q", n, bad.calls(), b.inLocal("k"))
				}
			})
		})
	}
}

func TestANodeWhoseLoaderHangsFollowsTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		var calls atomic.Int32
		release := make(chan struct{})
		a := fleetNode(t, m, cache.Do(func(context.Context) (any, error) {
			if calls.Add(1) > 1 {
				<-release // also when its ctx ends
			}
			return "a's", nil
		}))
		good := &counter{}
		fleetNode(t, m, good.do())
		pass(40 * interval)
		got, err := strconv.Atoi(a.inLocal("k"))
		newest := good.calls()
		if err != nil || newest < 30 || got < newest-1 {
			t.Errorf("its local level holds %q, the newest is %d", a.inLocal("k"), newest)
		}
		close(release)
	})
}

func TestALoaderInTheBackgroundKnowsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan string, 1)
		first := true
		fleetNode(t, remotetest.NewMemory(), cache.Do(func(ctx context.Context) (any, error) {
			if first {
				first = false
				return "v", nil
			}
			end, ok := ctx.Deadline()
			left := time.Until(end)
			<-ctx.Done()
			select {
			case seen <- fmt.Sprint(ok, " ", left): // a second run may send, too
			default:
			}
			return nil, ctx.Err()
		}))
		if got := <-seen; got != "true 30s" {
			t.Errorf("it saw %q", got)
		}
	})
}

func TestARemoteThatPanicsOrExitsDuringARefresh(t *testing.T) {
	for name, end := range map[string]func(){"panics": func() { panic("the remote's fault") }, "exits": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := captureLog(t)
				m := remotetest.NewMemory()
				load := &counter{}
				fleetNode(t, m, load.do())
				var tries atomic.Int32
				m.SetFault(func(_ context.Context, op string, _ ...string) error {
					if op == "setnx" && tries.Add(1) == 1 {
						end()
					}
					return nil
				})
				pass(4*interval + spread)
				if load.calls() != 4 { // at first, and in three of four intervals
					t.Errorf("%d loads", load.calls())
				}
				if got := log.matching("the remote's fault"); name == "panics" && len(got) != 1 {
					t.Errorf("logged %q", got)
				}
			})
		})
	}
}

func TestADeleteWhileTheLockIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		load := &counter{}
		n := fleetNode(t, m, load.do())
		m.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "setnx" {
				time.Sleep(5 * time.Second)
			}
			return nil
		})
		pass(interval + spread)
		if err := n.Delete(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		pass(interval)
		n.expectStored(t, "k", "-", "-")
		if _, ok := m.Peek("k_#RL#"); ok || load.calls() != 1 {
			t.Errorf("the lock is there: %v; %d loads", ok, load.calls())
		}
	})
}

func TestACopyForAnItemThatSkipsLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		load := &counter{}
		fleetNode(t, m, load.do())
		b := fleetNode(t, m, load.do(), cache.SkipLocal(true))
		b.local.Set("k", []byte("old"))
		pass(3 * interval)
		if got := b.inLocal("k"); got != "-" {
			t.Errorf("local holds %q", got)
		}
	})
}

// In one run, a node waits once for a remote that hangs: for the lock, for its lifetime, or to give it
// back.
func TestARefreshWaitsOnceForARemoteThatHangs(t *testing.T) {
	const hang = interval / 20
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		load := &counter{}
		fleetNode(t, m, load.do())
		m.Put("k_#RL#", "another node holds it")
		var reads []string
		m.SetFault(func(_ context.Context, op string, keys ...string) error {
			if op != "get" && op != "getWithTTL" {
				return nil
			}
			reads = append(reads, keys...)
			time.Sleep(hang)
			return errBoom
		})
		pass(2*interval - 2*spread)
		m.SetFault(nil)
		if len(reads) == 0 || slices.ContainsFunc(reads, func(key string) bool { return key != "k_#RL#" }) {
			t.Errorf("it read %q, want the lock alone", reads)
		}
		if load.calls() != 1 {
			t.Errorf("%d loads", load.calls())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		load := &counter{}
		n := bothOn(t, m, cache.WithRefreshDuration(interval), cache.WithStopRefreshAfterLastAccess(time.Hour), cache.WithRefreshConcurrency(1))
		for _, key := range []string{"a", "b"} {
			_, _ = onceString(n, key, load.do(), cache.Refresh(true))
		}
		load.become(0, errBoom)
		var given atomic.Int32
		m.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "compareAndDelete" {
				given.Add(1)
				time.Sleep(interval)
			}
			return nil
		})
		pass(interval + spread + time.Second)
		if load.calls() != 4 || given.Load() != 2 {
			t.Errorf("%d loads, and %d locks were given back", load.calls(), given.Load())
		}
		m.SetFault(nil)
		pass(2 * interval)
	})
}
