package repair_test

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

	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// failures are the ways in which a change of "k" can fail, so that the key must be removed.
var failures = map[string]func(f fence.Policy) error{
	"Change": func(f fence.Policy) error { return f.Change(ctx, writesOf("new", "k")) },
	"Remove": func(f fence.Policy) error { return f.Remove(ctx, recordsOf("k")) },
	"Reopen": func(f fence.Policy) error { return f.Reopen(ctx, "t", recordsOf("k")) },
	"GiveUp": func(f fence.Policy) error { f.GiveUp(recordsOf("k"), errBoom); return errBoom },
}

func TestAKeyWhoseChangeFailsIsRemovedInTheBackground(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := remotetest.NewMemory()
				f, n := newOn(t, m)
				m.Put("k", "old")
				before := begun(f, "old", "k")
				m.SetFault(broken())
				if err := fail(f); !errors.Is(err, errBoom) {
					t.Fatal(err)
				}
				if ok, err := trusted(f, "k"); ok || !errors.Is(err, fence.ErrUncertain) || !errors.Is(err, errBoom) {
					t.Errorf("the remote is trusted: %v, %v", ok, err)
				}
				if ok, err := trusted(f, "other"); !ok || err != nil {
					t.Errorf("for another key, the remote is trusted: %v, %v", ok, err)
				}
				pass(time.Minute)
				if n := f.State().Repairs; n != 1 || inRemote(m, "k") != "old" {
					t.Errorf("while the remote is broken, %d keys wait", n)
				}
				m.SetFault(nil)
				pass(5 * time.Second)
				if inRemote(m, "k") != "-" || n.told() != "k" || f.State().Repairs != 0 {
					t.Errorf("the remote has %q, told of %q, %d keys wait", inRemote(m, "k"), n.told(), f.State().Repairs)
				}
				if ok, err := trusted(f, "k"); !ok || err != nil {
					t.Errorf("then the remote is trusted: %v, %v", ok, err)
				}
				if err := f.Fill(ctx, before); err != nil || results(before) != "k refused" {
					t.Errorf("a load that began before the removal: %s, %v", results(before), err)
				}
			})
		})
	}
}

func TestOnlyTheKeysThatFailedAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, n := newOn(t, m)
		recs := writesOf("v", "a", unfit, "b")
		if err := f.Change(ctx, recs); !errors.Is(err, remote.ErrNoSibling) {
			t.Errorf("%s, %v", results(recs), err)
		}
		if got := f.Trusted(recordsOf("a", unfit, "b")); strings.Join(record.Keys(got), " ") != "a b" {
			t.Errorf("the remote is trusted for %q", record.Keys(got))
		}
		pass(time.Minute)
		if inRemote(m, "a", "b") != "v v" || n.told() != "" || f.State().Repairs != 1 {
			t.Errorf("the remote has %q, told of %q, %d keys wait", inRemote(m, "a", "b"), n.told(), f.State().Repairs)
		}
	})
}

func TestWhileAKeyWaitsNothingIsFilledIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, _ := newOn(t, m)
		m.SetFault(broken("delFenced"))
		_ = f.Remove(ctx, recordsOf("k"))
		loads := begun(f, "v", "k", "other")
		if err := f.Fill(ctx, loads); !errors.Is(err, fence.ErrUncertain) || inRemote(m, "k", "other") != "- v" {
			t.Errorf("%s, %v; the remote has %q", results(loads), err, inRemote(m, "k", "other"))
		}
		m.SetFault(nil)
		pass(time.Minute)
	})
}

func TestTriesPauseForLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, _ := newOn(t, m)
		m.SetFault(broken())
		f.GiveUp(recordsOf("k"), errBoom)
		var gaps []time.Duration
		for before := time.Now(); len(gaps) < 10; {
			calls := m.Calls("delFenced")
			for m.Calls("delFenced") == calls {
				pass(50 * time.Millisecond)
			}
			gaps = append(gaps, time.Since(before))
			before = time.Now()
		}
		const ms = time.Millisecond
		want := []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms, 5000 * ms}
		if fmt.Sprint(gaps) != fmt.Sprint(want) {
			t.Errorf("the pauses are %v, want %v", gaps, want)
		}
		m.SetFault(nil)
		pass(5 * time.Second)
	})
}

func TestManyKeysAreRemovedInBatchesWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, _ := newOn(t, m)
		var keys []string
		for i := range 1200 {
			keys = append(keys, fmt.Sprint("k", i))
			m.Put(keys[i], "old")
		}
		largest := 0
		m.SetFault(func(_ context.Context, _ string, keys ...string) error {
			largest = max(largest, len(keys))
			return nil
		})
		f.GiveUp(recordsOf(keys...), errBoom)
		if n := f.State().Repairs; n != len(keys) {
			t.Errorf("%d keys wait", n)
		}
		pass(50 * time.Millisecond)
		if n := f.State().Repairs; n != 0 || m.Calls("delFenced") != 3 || largest != 500 {
			t.Errorf("%d keys wait after %d calls of %d keys at most", n, m.Calls("delFenced"), largest)
		}
	})
}

func TestAKeyThatCannotBeRemovedDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, n := newOn(t, m)
		f.GiveUp(recordsOf("a", unfit, "b"), errBoom)
		pass(50 * time.Millisecond)
		if n.told() != "a b" || f.State().Repairs != 1 {
			t.Errorf("told of %q, %d keys wait", n.told(), f.State().Repairs)
		}
	})
}

func TestTheNewestFailureCounts(t *testing.T) {
	f, _ := newOn(t, remotetest.NewMemory())
	f.GiveUp(recordsOf("k"), errBoom)
	f.GiveUp(recordsOf("k"), errOther)
	if _, err := trusted(f, "k"); !errors.Is(err, errOther) || errors.Is(err, errBoom) || f.State().Repairs != 1 {
		t.Errorf("%v, %d keys wait", err, f.State().Repairs)
	}
}

func TestAChangeThatSucceedsEndsTheRepair(t *testing.T) {
	for name, change := range map[string]struct {
		do   func(f fence.Policy) error
		then string
	}{
		"Change": {func(f fence.Policy) error { return f.Change(ctx, writesOf("new", "k")) }, "new"},
		"Remove": {func(f fence.Policy) error { return f.Remove(ctx, recordsOf("k")) }, "-"},
		"Reopen": {func(f fence.Policy) error { return f.Reopen(ctx, "t", recordsOf("k")) }, "-"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := remotetest.NewMemory()
			f, n := newOn(t, m)
			f.GiveUp(recordsOf("k", "other"), errBoom)
			if err := change.do(f); err != nil {
				t.Fatal(err)
			}
			if ok, err := trusted(f, "k"); !ok || f.State().Repairs != 1 {
				t.Errorf("%s: the remote is trusted: %v, %v", name, ok, err)
			}
			pass(time.Minute)
			if inRemote(m, "k") != change.then || n.told() != "other" {
				t.Errorf("%s: the remote has %q, told of %q", name, inRemote(m, "k"), n.told())
			}
		})
	}
}

func TestAChangeThatIsRefusedDoesNotEndTheRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, _ := newOn(t, m)
		elsewhere, _ := newOn(t, m)
		m.Put("there", "old")
		refused, notDue := begun(f, "v", "k"), writesOf("v", "there")
		notDue[0].If = record.IfAbsent
		f.GiveUp(recordsOf("k", "there"), errBoom)
		_ = elsewhere.Change(ctx, writesOf("theirs", "k"))
		if err := f.Change(ctx, append(refused, notDue...)); err != nil || f.State().Repairs != 2 {
			t.Errorf("%s, %s, %v, %d keys wait", results(refused), results(notDue), err, f.State().Repairs)
		}
		pass(time.Minute)
		if got := inRemote(m, "k", "there"); got != "- -" {
			t.Errorf("the remote has %q", got)
		}
	})
}

// held is a store whose calls that store or remove wait, before the remote or after it.
type held struct {
	*remotetest.Memory
	mu    sync.Mutex
	gates map[string]chan struct{} // guarded by mu: by the name of a call
}

// hold makes the next call of this name wait until the result is closed.
func (h *held) hold(call string) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gates == nil {
		h.gates = make(map[string]chan struct{})
	}
	gate := make(chan struct{})
	h.gates[call] = gate
	return gate
}

func (h *held) at(call string) {
	h.mu.Lock()
	gate := h.gates[call]
	delete(h.gates, call)
	h.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

func (h *held) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	h.at("before SetFenced")
	defer h.at("after SetFenced")
	return h.Memory.SetFenced(ctx, ttl, items...)
}

func (h *held) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	h.at("before DelFenced")
	defer h.at("after DelFenced")
	return h.Memory.DelFenced(ctx, ttl, keys...)
}

// A Delete waits for an older Set of its key, and is given up. The Set succeeds, and may have
// reached the remote before the removal or after it.
func TestAnOlderChangeThatSucceedsDoesNotEndTheRepair(t *testing.T) {
	for _, when := range []string{"before SetFenced", "after SetFenced"} {
		for name, length := range map[string]time.Duration{"at once": 0, "after some removals": 20 * time.Second} {
			t.Run(when+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := &held{Memory: remotetest.NewMemory()}
					f, n := newOn(t, h)
					gate := h.hold(when)
					var wg sync.WaitGroup
					wg.Go(func() {
						if err := f.Change(ctx, writesOf("old", "k")); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
					f.GiveUp(recordsOf("k"), context.DeadlineExceeded)
					pass(length)
					close(gate)
					wg.Wait()
					if ok, _ := trusted(f, "k"); ok {
						t.Error("the remote is trusted with the old value")
					}
					pass(5 * time.Second)
					if inRemote(h.Memory, "k") != "-" || n.told() != "k" || f.State().Repairs != 0 {
						t.Errorf("the remote has %q, told of %q, %d keys wait", inRemote(h.Memory, "k"), n.told(), f.State().Repairs)
					}
				})
			})
		}
	}
}

// A removal succeeds, but its answer is late: meanwhile the key is changed, and another change fails.
func TestARepairDoesNotEndThatOfALaterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{Memory: remotetest.NewMemory()}
		f, _ := newOn(t, h)
		gate := h.hold("after DelFenced")
		f.GiveUp(recordsOf("k"), errBoom)
		pass(time.Second)
		_ = f.Change(ctx, writesOf("old", "k"))
		f.GiveUp(recordsOf("k"), errOther)
		again := h.hold("before DelFenced")
		close(gate)
		synctest.Wait()
		if ok, err := trusted(f, "k"); ok || !errors.Is(err, errOther) || inRemote(h.Memory, "k") != "old" {
			t.Errorf("the remote is trusted: %v, %v", ok, err)
		}
		close(again)
		synctest.Wait()
		if inRemote(h.Memory, "k") != "-" || f.State().Repairs != 0 {
			t.Errorf("the remote has %q, %d keys wait", inRemote(h.Memory, "k"), f.State().Repairs)
		}
	})
}

func TestKeysBeyondTheLimitAreLostAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1 << 17
		m := remotetest.NewMemory()
		f, n := newOn(t, m)
		m.SetFault(broken())
		keys := make([]string, limit+3)
		for i := range keys {
			keys[i] = fmt.Sprint(i)
		}
		f.GiveUp(recordsOf(keys...), errBoom)
		if got := f.State().Repairs; got != limit {
			t.Errorf("%d keys wait, want %d", got, limit)
		}
		const want = "error cache c: 3 keys could not be changed in the remote, which may have old values of them until these expire; 131072 others wait already: boom"
		if got := n.errors(); len(got) != 1 || got[0] != want {
			t.Errorf("the log has %q", got)
		}
		if ok, _ := trusted(f, keys[limit]); !ok {
			t.Error("a key that is lost is not trusted for ever")
		}
		f.GiveUp(recordsOf(keys[0]), errOther) // it waits already
		if _, err := trusted(f, keys[0]); !errors.Is(err, errOther) || len(n.errors()) != 1 {
			t.Errorf("%v, the log has %q", err, n.errors())
		}
		f.GiveUp(recordsOf("late"), errBoom) // the line is bounded
		if got := n.errors(); len(got) != 1 {
			t.Errorf("the log has %q", got)
		}
		f.Stop(time.Second)
	})
}

func TestStopTriesOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, n := newOn(t, m)
		m.Put("k", "old")
		m.SetFault(broken())
		_ = f.Remove(ctx, recordsOf("k"))
		pass(time.Minute)
		m.SetFault(nil)
		began := time.Now()
		f.Stop(time.Minute)
		if inRemote(m, "k") != "-" || n.told() != "k" || f.State().Repairs != 0 || time.Since(began) != 0 {
			t.Errorf("the remote has %q, told of %q, after %s", inRemote(m, "k"), n.told(), time.Since(began))
		}
		if lines := n.errors(); len(lines) != 0 {
			t.Errorf("the log has %q", lines)
		}
	})
}

func TestStopRemovesAllThatWaitsIfItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, _ := newOn(t, m)
		keys := make([]string, 2000)
		for i := range keys {
			keys[i] = fmt.Sprint(i)
		}
		f.GiveUp(recordsOf(keys...), errBoom)
		f.Stop(time.Second)
		if n := f.State().Repairs; n != 0 || m.Calls("delFenced") != 4 {
			t.Errorf("%d keys wait after %d calls", n, m.Calls("delFenced"))
		}
	})
}

func TestStopGivesUpAfterAFailureAndLogsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, n := newOn(t, m)
		m.SetFault(broken())
		_ = f.Remove(ctx, recordsOf("a", "b"))
		pass(time.Minute)
		calls := m.Calls("delFenced")
		f.Stop(time.Minute)
		if tries := m.Calls("delFenced") - calls; tries != 1 {
			t.Errorf("it tried %d times", tries)
		}
		f.Stop(time.Minute)
		if lines := n.errors(); len(lines) != 1 || !strings.Contains(lines[0], "closed, but 2 keys") {
			t.Errorf("the log has %q", lines)
		}
		if f.State().Repairs != 2 {
			t.Errorf("%d keys wait", f.State().Repairs)
		}
	})
}

func TestStopReturnsWithinItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, n := newOn(t, m)
		m.SetLatency(time.Hour)
		f.GiveUp(recordsOf("k"), errBoom)
		pass(time.Second) // the call of the remote is under way
		began := time.Now()
		f.Stop(time.Second)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
		if lines := n.errors(); len(lines) != 1 || !strings.Contains(lines[0], "closed, but 1 keys") {
			t.Errorf("the log has %q", lines)
		}
		// The call ends with its context, and the goroutine with the call: the bubble would
		// otherwise let time pass until the call's own limit.
		synctest.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("the goroutine ended after %s", took)
		}
		calls := m.Calls("delFenced")
		pass(time.Hour)
		if calls == 0 || m.Calls("delFenced") > calls {
			t.Error("it goes on")
		}
	})
}

func TestCallsOfStopAtTheSameTimeWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{Memory: remotetest.NewMemory()}
		f, _ := newOn(t, h)
		gate := h.hold("before DelFenced")
		f.GiveUp(recordsOf("k"), errBoom)
		var stopped atomic.Int64
		for range 2 {
			go func() { f.Stop(time.Hour); stopped.Add(1) }()
		}
		if synctest.Wait(); stopped.Load() != 0 {
			t.Errorf("%d calls returned before the end", stopped.Load())
		}
		close(gate)
		if synctest.Wait(); stopped.Load() != 2 {
			t.Errorf("%d calls returned", stopped.Load())
		}
	})
}

func TestAfterStopAFailureIsLoggedAndNotRepaired(t *testing.T) {
	for name, left := range map[string]int{"nothing was left": 0, "something was left": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := remotetest.NewMemory()
				f, n := newOn(t, m)
				m.SetFault(broken())
				f.GiveUp(recordsOf("left")[:left], errBoom)
				f.Stop(time.Second)
				time.Sleep(time.Minute)
				calls := m.Calls("delFenced")
				if err := f.Remove(ctx, recordsOf("k")); !errors.Is(err, errBoom) {
					t.Error(err)
				}
				f.GiveUp(recordsOf("l"), errBoom)
				pass(time.Minute)
				if tries := m.Calls("delFenced") - calls; tries != 1 {
					t.Errorf("it tried %d times", tries)
				}
				if f.State().Repairs != left {
					t.Errorf("%d keys wait", f.State().Repairs)
				}
				lines := n.errors()
				if last := lines[len(lines)-1]; len(lines) != left+1 || !strings.Contains(last, "the cache is closed, so it does not try again: boom") {
					t.Errorf("the log has %q", lines)
				}
				if ok, err := trusted(f, "k"); !ok {
					t.Errorf("a key that is lost is not trusted for ever: %v", err)
				}
			})
		})
	}
}

func TestStopWithoutRepairsReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newOn(t, remotetest.NewMemory())
		began := time.Now()
		f.Stop(time.Hour)
		if lines := n.errors(); len(lines) != 0 || time.Since(began) != 0 {
			t.Errorf("it took %s, the log has %q", time.Since(began), lines)
		}
	})
}

func TestTheGoroutineEndsWhenNothingWaitsAndStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, n := newOn(t, m)
		for i := range 3 {
			key := fmt.Sprint("k", i)
			m.Put(key, "old")
			f.GiveUp(recordsOf(key), errBoom)
			pass(time.Hour)
			if inRemote(m, key) != "-" || m.Calls("delFenced") != i+1 {
				t.Errorf("the remote has %q after %d calls", inRemote(m, key), m.Calls("delFenced"))
			}
		}
		if got := n.told(); got != "k0 k1 k2" {
			t.Errorf("told of %q", got)
		}
	})
}

// panics is a store whose calls that change keys panic while it is on.
type panics struct {
	*remotetest.Memory
	on *atomic.Bool
}

func (p panics) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	if p.on.Load() {
		panic("the pieces")
	}
	return p.Memory.DelFenced(ctx, ttl, keys...)
}

func TestARemoteThatPanicsIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := panics{remotetest.NewMemory(), new(atomic.Bool)}
		f, n := newOn(t, p)
		p.Put("k", "old")
		p.on.Store(true)
		func() {
			defer func() {
				if v := recover(); v != "the pieces" {
					t.Errorf("the caller gets the panic %v", v)
				}
			}()
			_ = f.Remove(ctx, recordsOf("k"))
		}()
		if ok, err := trusted(f, "k"); ok || !strings.Contains(fmt.Sprint(err), "panicked") {
			t.Errorf("the remote is trusted: %v, %v", ok, err)
		}
		pass(time.Second)
		if lines := n.errors(); len(lines) != 1 || !strings.Contains(lines[0], "the pieces") || !strings.Contains(lines[0], "repair_test.go") {
			t.Errorf("the log has %q", lines)
		}
		p.on.Store(false)
		pass(5 * time.Second)
		if inRemote(p.Memory, "k") != "-" || n.told() != "k" {
			t.Errorf("the remote has %q, told of %q", inRemote(p.Memory, "k"), n.told())
		}
	})
}

func TestConcurrentChangesAndReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, _ := newOn(t, m)
		var calls atomic.Int64
		m.SetFault(func(context.Context, string, ...string) error {
			if calls.Add(1)%3 == 0 {
				return errBoom
			}
			return nil
		})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 50 {
					key := fmt.Sprint("k", (i+j)%5)
					switch j % 5 {
					case 0:
						_ = f.Change(ctx, writesOf("v", key, "all"))
					case 1:
						_ = f.Remove(ctx, recordsOf(key))
					case 2:
						f.GiveUp(recordsOf(key), errBoom)
					case 3:
						_ = f.Fill(ctx, begun(f, "v", key))
					default:
						f.Trusted(recordsOf(key, "all"))
					}
					time.Sleep(time.Duration(i+j) * time.Millisecond)
				}
			})
		}
		wg.Wait()
		m.SetFault(nil)
		pass(10 * time.Second)
		if n := f.State().Repairs; n != 0 {
			t.Errorf("%d keys wait", n)
		}
	})
}

func TestAFillThatFailsIsNeitherRefusedNorRepaired(t *testing.T) {
	m := remotetest.NewMemory()
	f, _ := newOn(t, m)
	loads := begun(f, "v", "a")
	m.SetFault(broken())
	if err := f.Fill(ctx, loads); !errors.Is(err, errBoom) || results(loads) != "a failed (boom)" {
		t.Errorf("%s, %v", results(loads), err)
	}
	if state := f.State(); state != (fence.State{}) {
		t.Errorf("the state is %+v", state)
	}
}

func TestAllErrorsOfAFillAreReturned(t *testing.T) {
	m := remotetest.NewMemory()
	f, _ := newOn(t, m)
	defer m.SetFault(nil)
	loads := begun(f, "v", "distrusted", "sent")
	f.GiveUp(loads[:1], errOther)
	m.SetFault(broken("setFenced"))
	if err := f.Fill(ctx, loads); !errors.Is(err, errBoom) || !errors.Is(err, errOther) || !errors.Is(err, fence.ErrUncertain) {
		t.Errorf("%s, %v", results(loads), err)
	}
}

func TestNoRecordsAreNoCall(t *testing.T) {
	m := remotetest.NewMemory()
	f, _ := newOn(t, m)
	m.SetFault(func(_ context.Context, op string, _ ...string) error { t.Errorf("it calls %s", op); return nil })
	f.GiveUp(nil, errBoom)
	if err := errors.Join(f.Fill(ctx, nil), f.Change(ctx, nil), f.Remove(ctx, nil), f.Reopen(ctx, "t", nil)); err != nil {
		t.Error(err)
	}
	if got := f.Trusted(nil); len(got) != 0 || f.State() != (fence.State{}) {
		t.Errorf("%d records, %+v", len(got), f.State())
	}
}
