package fence_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestOffStoresAndRemovesWithoutFences(t *testing.T) {
	m := remotetest.NewMemory()
	var f fence.Policy = fence.Off{Remote: level.NewRemote(m, level.Lifetime{}, observe.New("c", nil, &notes{}))}
	loads := begun(f, "v", "a", "b")
	if loads[0].Token != (record.Token{}) {
		t.Errorf("Begin sets the token %+v", loads[0].Token)
	}
	if err := f.Fill(ctx, loads); err != nil || results(loads) != "a stored, b stored" || inRemote(m, "a", "b") != "v v" {
		t.Errorf("Fill: %s, %v", results(loads), err)
	}
	given := writesOf("w", "a", "b")
	if err := f.Change(ctx, given); err != nil || results(given) != "a stored, b stored" || inRemote(m, "a", "b") != "w w" {
		t.Errorf("Change: %s, %v", results(given), err)
	}
	removals := map[string]func(recs []*record.Record) error{
		"Remove": func(recs []*record.Record) error { return f.Remove(ctx, recs) },
		"Close":  func(recs []*record.Record) error { return f.Close(ctx, "t", recs) },
		"Reopen": func(recs []*record.Record) error { return f.Reopen(ctx, "t", recs) },
	}
	for name, remove := range removals {
		m.Put("a", "v")
		m.Put("b", "v")
		recs := recordsOf("a", "b")
		if err := remove(recs); err != nil || results(recs) != "a stored, b stored" || inRemote(m, "a", "b") != "- -" {
			t.Errorf("%s: %s, %v", name, results(recs), err)
		}
		m.SetFault(broken())
		if err := remove(recs); !errors.Is(err, errBoom) || results(recs) != "a failed (boom), b failed (boom)" {
			t.Errorf("%s of a broken remote: %s, %v", name, results(recs), err)
		}
		m.SetFault(nil)
	}
	if n := len(m.Keys()); n != 0 {
		t.Errorf("there are fences: %q", m.Keys())
	}
}

func TestOffTrustsTheRemoteAndBoundsNothing(t *testing.T) {
	f := fence.Off{}
	recs := recordsOf("a", "b")
	f.GiveUp(recs, errBoom)
	if got := f.Trusted(recs); len(got) != 2 || recs[0].Got.Err != nil {
		t.Errorf("it trusts the remote for %d of 2 keys: %v", len(got), recs[0].Got.Err)
	}
	bounded, cancel := f.Bounded(ctx)
	cancel()
	if _, ok := bounded.Deadline(); ok || bounded.Err() != nil {
		t.Errorf("a load has a deadline: %v, %v", ok, bounded.Err())
	}
	f.Stop(0)
	if state := f.State(); state != (fence.State{}) {
		t.Errorf("the state is %+v", state)
	}
}

func TestOffPassesValuesToTheLocalLevelUnlessTheyHaveConditions(t *testing.T) {
	for condition, want := range map[record.Condition]record.Result{
		record.Always: record.Failed, record.IfAbsent: record.NotDue, record.IfPresent: record.NotDue,
	} {
		rec := &record.Record{If: condition, Stored: record.Stored}
		if (fence.Off{}).Pass(rec); rec.Stored != want {
			t.Errorf("condition %d: %d, want %d", condition, rec.Stored, want)
		}
	}
}

func TestFillStoresWhatWasNotChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, n := newOn(t, m)
		loads := begun(f, "v", "a", "b")
		time.Sleep(maxLoad)
		if err := f.Fill(ctx, loads); err != nil || results(loads) != "a stored, b stored" || inRemote(m, "a", "b") != "v v" {
			t.Errorf("%s, %v", results(loads), err)
		}
		if ttl, _ := m.TTL("a"); ttl != time.Hour {
			t.Errorf("the lifetime is %s", ttl)
		}
		// Other loads that began before are as good.
		again := begun(f, "w", "a")
		if err := f.Fill(ctx, again); err != nil || inRemote(m, "a") != "w" {
			t.Errorf("%s, %v", results(again), err)
		}
		if state := f.State(); state != (fence.State{}) || n.counted() != 0 {
			t.Errorf("the state is %+v, %d are counted", state, n.counted())
		}
	})
}

func TestFillRefusesWhatWasChangedSinceTheLoadBegan(t *testing.T) {
	changes := map[string]struct {
		change func(f fence.Policy) error
		then   string
	}{
		"Change": {func(f fence.Policy) error { return f.Change(ctx, writesOf("new", "k")) }, "new"},
		"Remove": {func(f fence.Policy) error { return f.Remove(ctx, recordsOf("k")) }, "-"},
		"Close":  {func(f fence.Policy) error { return f.Close(ctx, "t", recordsOf("k")) }, "-"},
		"Reopen": {func(f fence.Policy) error { return f.Reopen(ctx, "t", recordsOf("k")) }, "-"},
	}
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			m := remotetest.NewMemory()
			f, n := newOn(t, m)
			elsewhere, _ := newOn(t, m)
			loads := begun(f, "old", "k", "other")
			if err := c.change(elsewhere); err != nil {
				t.Fatal(err)
			}
			if err := f.Fill(ctx, loads); err != nil || results(loads) != "k refused, other stored" {
				t.Errorf("%s, %v", results(loads), err)
			}
			if got := inRemote(m, "k", "other"); got != c.then+" old" {
				t.Errorf("the remote has %q", got)
			}
			if state := f.State(); state.Refused != 1 || n.counted() != 1 {
				t.Errorf("%d are refused, %d are counted", state.Refused, n.counted())
			}
		})
	}
}

func TestFillRefusesTheValuesOfLoadsThatTookTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, n := newOn(t, m)
		loads := begun(f, "v", "a", "b")
		time.Sleep(maxLoad + 1)
		if err := f.Fill(ctx, loads); err != nil || results(loads) != "a refused, b refused" || inRemote(m, "a", "b") != "- -" {
			t.Errorf("%s, %v", results(loads), err)
		}
		if m.Calls("setFenced") != 0 {
			t.Error("the remote was asked")
		}
		if f.State().Refused != 2 || n.counted() != 2 {
			t.Errorf("%d are refused, %d are counted", f.State().Refused, n.counted())
		}
	})
}

// slowSets delays the calls that store, as a process does that is stopped.
type slowSets struct {
	*remotetest.Memory
	before func()
}

func (s slowSets) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	s.before()
	return s.Memory.SetFenced(ctx, ttl, items...)
}

func TestAValueThatArrivesWhenItsFenceIsGoneIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, _ := newOn(t, slowSets{m, func() { time.Sleep(10 * maxLoad) }})
		loads := begun(f, "old", "k")
		if err := f.Fill(ctx, loads); err != nil || results(loads) != "k refused" || inRemote(m, "k") != "-" {
			t.Errorf("%s, %v", results(loads), err)
		}
	})
}

func TestFillUnderAClosedFenceIsRefusedWhateverElseIsWrong(t *testing.T) {
	m := remotetest.NewMemory()
	f, _ := newOn(t, m)
	_ = f.Close(ctx, "t", recordsOf("k"))
	f.GiveUp(recordsOf("k"), errBoom) // the remote is not trusted either
	loads := begun(f, "v", "k")
	if err := f.Fill(ctx, loads); err != nil || results(loads) != "k refused" {
		t.Errorf("%s, %v", results(loads), err)
	}
}

func TestAValueWhoseNonceCouldNotBeReadIsNotFilledIn(t *testing.T) {
	m := remotetest.NewMemory()
	f, n := newOn(t, m)
	m.SetFault(broken("openFences"))
	loads := begun(f, "v", "a")
	m.SetFault(nil)
	loads = append(loads, begun(f, "v", "b", unfit)...)
	err := f.Fill(ctx, loads)
	const why = "(cache: the fence of the key could not be read before the load, so the value was not stored)"
	if want := "a failed " + why + ", b stored, " + unfit + " failed " + why; err == nil || results(loads) != want {
		t.Errorf("%s, %v", results(loads), err)
	}
	if inRemote(m, "a", "b") != "- v" || f.State() != (fence.State{}) || n.counted() != 0 {
		t.Errorf("the remote has %q, the state is %+v", inRemote(m, "a", "b"), f.State())
	}
}

// A record may be stored more than once, as by a load that is tried again.
func TestWhatBecameOfARecordBeforeDoesNotCount(t *testing.T) {
	f, _ := newOn(t, remotetest.NewMemory())
	before := errors.New("before")
	recs := writesOf("v", "a", "b")
	for _, rec := range recs {
		rec.Token.Began, rec.Stored, rec.StoreErr = time.Now(), record.Stored, before
	}
	_ = f.Fill(ctx, recs[:1])
	if recs[0].Stored != record.Failed || errors.Is(recs[0].StoreErr, before) {
		t.Errorf("after Fill: %s", results(recs[:1]))
	}
	if err := f.Change(ctx, recs[1:]); err != nil || results(recs[1:]) != "b refused" {
		t.Errorf("after Change: %s, %v", results(recs[1:]), err)
	}
}

func TestPassRefuses(t *testing.T) {
	f, n := newOn(t, remotetest.NewMemory())
	rec := &record.Record{Key: "k", Stored: record.Stored}
	if f.Pass(rec); rec.Stored != record.Refused || f.State().Refused != 1 || n.counted() != 1 {
		t.Errorf("%s, %d are refused, %d are counted", results([]*record.Record{rec}), f.State().Refused, n.counted())
	}
}

func TestAGivenValueIsStoredWhateverItsFenceSays(t *testing.T) {
	m := remotetest.NewMemory()
	f, _ := newOn(t, m)
	_ = f.Close(ctx, "t", recordsOf("closed"))
	_ = f.Remove(ctx, recordsOf("changed"))
	recs := writesOf("v", "closed", "changed", "new")
	if err := f.Change(ctx, recs); err != nil || results(recs) != "closed stored, changed stored, new stored" {
		t.Errorf("%s, %v", results(recs), err)
	}
	if got := inRemote(m, "closed", "changed", "new"); got != "v v v" {
		t.Errorf("the remote has %q", got)
	}
}

func TestConditionsOfGivenValues(t *testing.T) {
	m := remotetest.NewMemory()
	f, _ := newOn(t, m)
	m.Put("there", "old")
	recs := writesOf("v", "there", "absent")
	recs[0].If, recs[1].If = record.IfAbsent, record.IfPresent
	if err := f.Change(ctx, recs); err != nil || results(recs) != "there not due, absent not due" || inRemote(m, "there", "absent") != "old -" {
		t.Errorf("%s, %v", results(recs), err)
	}
}

// A Set with a loader is a change whose value is loaded.
func TestALoadedValueReplacesOnlyWhatItsFenceAllows(t *testing.T) {
	m := remotetest.NewMemory()
	f, n := newOn(t, m)
	elsewhere, _ := newOn(t, m)
	_ = f.Close(ctx, "t", recordsOf("closed"))
	recs := begun(f, "v", "open", "changed", "closed")
	_ = elsewhere.Remove(ctx, recordsOf("changed"))
	recs = append(recs, writesOf("v", "no nonce", "no nonce, but a condition")...)
	recs[3].Token.Began, recs[4].Token.Began = time.Now(), time.Now()
	recs[4].If = record.IfPresent
	err := f.Change(ctx, recs)
	const want = "open stored, changed refused, closed refused, no nonce refused, no nonce, but a condition failed (cache: "
	if got := results(recs); err == nil || !strings.HasPrefix(got, want) {
		t.Errorf("%s, want %s..., %v", got, want, err)
	}
	if got := inRemote(m, "open", "changed", "closed", "no nonce"); got != "v - - -" {
		t.Errorf("the remote has %q", got)
	}
	// It was not sent, so nothing has to be repaired. Refused changes are not fills.
	if state := f.State(); state != (fence.State{}) || n.counted() != 0 {
		t.Errorf("the state is %+v, %d are counted", state, n.counted())
	}
}

func TestOfTwoLoadedValuesTheFirstThatIsStoredCounts(t *testing.T) {
	m := remotetest.NewMemory()
	f, _ := newOn(t, m)
	one, two := begun(f, "one", "k"), begun(f, "two", "k")
	_ = f.Change(ctx, one)
	if err := f.Change(ctx, two); err != nil || results(two) != "k refused" || inRemote(m, "k") != "one" {
		t.Errorf("%s, %v; the remote has %q", results(two), err, inRemote(m, "k"))
	}
}

func TestBetweenCloseAndReopenNothingLoadedIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		f, _ := newOn(t, m)
		load := func() string {
			loads := begun(f, "v", "k")
			if err := f.Fill(ctx, loads); err != nil {
				t.Error(err)
			}
			return results(loads)
		}
		m.Put("k", "old")
		_ = f.Close(ctx, "t", recordsOf("k"))
		if got := inRemote(m, "k"); got != "-" {
			t.Errorf("the remote has %q", got)
		}
		before := begun(f, "old", "k")
		_ = f.Remove(ctx, recordsOf("k"))
		_ = f.Reopen(ctx, "another", recordsOf("k"))
		if got := load(); got != "k refused" {
			t.Errorf("closed: %s", got)
		}
		_ = f.Reopen(ctx, "t", recordsOf("k"))
		if _ = f.Fill(ctx, before); results(before) != "k refused" {
			t.Errorf("a load that began while it was closed: %s", results(before))
		}
		if got := load(); got != "k stored" {
			t.Errorf("reopened: %s", got)
		}
		// A node that closes a fence may die.
		_ = f.Close(ctx, "dead", recordsOf("k"))
		time.Sleep(2 * maxLoad)
		if got := load(); got != "k stored" {
			t.Errorf("two loads later: %s", got)
		}
	})
}

func TestACloseThatFailsSaysSoAndLeavesTheRest(t *testing.T) {
	m := remotetest.NewMemory()
	f, _ := newOn(t, m)
	recs := recordsOf("k", unfit)
	if err := f.Close(ctx, "t", recs); !errors.Is(err, remote.ErrNoSibling) || !strings.HasPrefix(results(recs), "k stored, "+unfit+" failed (") {
		t.Errorf("%s, %v", results(recs), err)
	}
	if state := f.State(); state != (fence.State{}) {
		t.Errorf("the state is %+v", state)
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

func TestBoundedEndsAfterTheLongestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newOn(t, remotetest.NewMemory())
		bounded, cancel := f.Bounded(ctx)
		defer cancel()
		if end, ok := bounded.Deadline(); !ok || time.Until(end) != maxLoad {
			t.Errorf("the deadline is in %s, %v", time.Until(end), ok)
		}
	})
}
