package level_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// unfit is a key that can have neither a fence nor a lease.
const unfit = "a}b"

func nonces(recs []*record.Record) string {
	var all []string
	for _, rec := range recs {
		all = append(all, rec.Token.Nonce)
	}
	return strings.Join(all, " ")
}

func TestOpenFencesSetsTheNonces(t *testing.T) {
	r, log := newRemote(remotetest.NewMemory())
	first, again := recordsOf("a", "b"), recordsOf("b", "a")
	r.OpenFences(ctx, time.Minute, first)
	r.OpenFences(ctx, time.Minute, again)
	if a, b := first[0].Token.Nonce, first[1].Token.Nonce; a == "" || a == b || nonces(again) != b+" "+a {
		t.Errorf("the nonces of a and b are %q, those of b and a are %q", nonces(first), nonces(again))
	}
	if failed, _ := log.take(); failed != "" {
		t.Errorf("failures of %q are counted", failed)
	}
}

func TestANonceThatCannotBeReadIsEmpty(t *testing.T) {
	m := remotetest.NewMemory()
	r, log := newRemote(m)
	recs := recordsOf("a", unfit, "b")
	recs[1].Token.Nonce = "old"
	r.OpenFences(ctx, time.Minute, recs)
	if recs[0].Token.Nonce == "" || recs[1].Token.Nonce != "" || recs[2].Token.Nonce == "" {
		t.Errorf("one key can have no fence: the nonces are %q", nonces(recs))
	}
	m.SetFault(func(context.Context, string, ...string) error { return errBoom })
	r.OpenFences(ctx, time.Minute, recs)
	if nonces(recs) != "  " {
		t.Errorf("the remote failed: the nonces are %q", nonces(recs))
	}
	if failed, _ := log.take(); failed != "fence fence" {
		t.Errorf("failures of %q are counted", failed)
	}
}

// errorsAlone returns nothing but an error where it fails.
type errorsAlone struct{ *remotetest.Memory }

func (errorsAlone) OpenFences(context.Context, time.Duration, ...string) ([]string, error) {
	return nil, errBoom
}

func (errorsAlone) SetFenced(context.Context, time.Duration, ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	return nil, errBoom
}

func (errorsAlone) AcquireLeases(context.Context, time.Duration, ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	return nil, errBoom
}

func (errorsAlone) ReleaseLeases(context.Context, time.Duration, ...remote.LeaseEnd) ([]bool, error) {
	return nil, errBoom
}

func TestAStoreThatReturnsNothingButItsError(t *testing.T) {
	r, _ := newRemote(errorsAlone{remotetest.NewMemory()})
	recs := writesOf("a", "b")
	recs[0].Token.Nonce = "old"
	if r.OpenFences(ctx, time.Minute, recs); nonces(recs) != " " {
		t.Errorf("the nonces are %q", nonces(recs))
	}
	if err := r.SetFenced(ctx, time.Minute, recs, true); !errors.Is(err, errBoom) || results(recs) != "a failed (boom), b failed (boom)" {
		t.Errorf("%s, %v", results(recs), err)
	}
	answers := r.AcquireLeases(ctx, time.Minute, recs, make([]remote.LeaseAsk, 2))
	if len(answers) != 2 || answers[0].State != remote.LeaseUnknown || answers[1].State != remote.LeaseUnknown {
		t.Errorf("the leases are %v", answers)
	}
	if wanted := r.ReleaseLeases(ctx, time.Minute, make([]remote.LeaseEnd, 2)); len(wanted) != 0 {
		t.Errorf("the leases are wanted: %v", wanted)
	}
}

func TestSetFencedStoresWhatItsFenceAllows(t *testing.T) {
	m := remotetest.NewMemory()
	r, _ := newRemote(m)
	recs := writesOf("open", "changed", "given", unfit, "absent", "present")
	opened := recs[:2]
	r.OpenFences(ctx, time.Minute, opened)
	recs[4].If, recs[5].If = record.IfPresent, record.IfAbsent
	m.Put("present", "old")
	_ = r.DelFenced(ctx, time.Minute, recordsOf("changed"))

	err := r.SetFenced(ctx, time.Minute, recs, false)
	want := "open stored, changed refused, given stored, " + unfit + " failed (" + remote.ErrNoSibling.Error() + "), absent not due, present not due"
	if got := results(recs); !errors.Is(err, remote.ErrNoSibling) || got != want {
		t.Errorf("%s, want %s (%v)", got, want, err)
	}
	if ttl, _ := m.TTL("open"); ttl <= 0 || ttl > time.Second {
		t.Errorf("the lifetime is %s", ttl)
	}
	if text, _ := m.Peek("present"); text != "old" {
		t.Errorf("present is %q", text)
	}
}

func TestSetFencedRenewsFencesIfItIsTold(t *testing.T) {
	for _, renew := range []bool{false, true} {
		m := remotetest.NewMemory()
		r, _ := newRemote(m)
		recs, later := writesOf("k"), recordsOf("k")
		r.OpenFences(ctx, time.Minute, recs)
		_ = r.SetFenced(ctx, time.Minute, recs, renew)
		r.OpenFences(ctx, time.Minute, later)
		if changed := nonces(recs) != nonces(later); changed != renew {
			t.Errorf("renew is %v, and the nonce changed: %v", renew, changed)
		}
	}
	r, log := newRemote(remotetest.NewMemory())
	if err := r.SetFenced(ctx, time.Minute, nil, true); err != nil {
		t.Error(err)
	}
	if failed, _ := log.take(); failed != "" {
		t.Errorf("failures of %q are counted", failed)
	}
}

// vague says exactly what became of each item, and returns an error that names no key.
type vague struct{ *remotetest.Memory }

func (v vague) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	outcomes, err := v.Memory.SetFenced(ctx, ttl, items...)
	if err != nil {
		err = errBoom
	}
	return outcomes, err
}

func TestTheOutcomeOfAnItemIsMoreExactThanTheErrorOfTheCall(t *testing.T) {
	r, _ := newRemote(vague{remotetest.NewMemory()})
	recs := writesOf("a", unfit)
	if err := r.SetFenced(ctx, time.Minute, recs, false); !errors.Is(err, errBoom) || results(recs) != "a stored, "+unfit+" failed (boom)" {
		t.Errorf("%s, %v", results(recs), err)
	}
}

// changes of fences that remove keys.
var changes = map[string]func(r *level.Remote, recs []*record.Record) error{
	"DelFenced":   func(r *level.Remote, recs []*record.Record) error { return r.DelFenced(ctx, time.Minute, recs) },
	"CloseFences": func(r *level.Remote, recs []*record.Record) error { return r.CloseFences(ctx, time.Minute, "t", recs) },
	"ReopenFences": func(r *level.Remote, recs []*record.Record) error {
		return r.ReopenFences(ctx, time.Minute, "t", recs)
	},
}

func TestChangesOfFencesRemoveKeysAndFailKeyByKey(t *testing.T) {
	for name, change := range changes {
		m := remotetest.NewMemory()
		r, _ := newRemote(m)
		loads := writesOf("a", "b")
		r.OpenFences(ctx, time.Minute, loads)
		for _, key := range []string{"a", "b", unfit} {
			m.Put(key, "v")
		}
		recs := recordsOf("a", unfit, "b")
		err := change(r, recs)
		if want := "a stored, " + unfit + " failed (" + remote.ErrNoSibling.Error() + "), b stored"; !errors.Is(err, remote.ErrNoSibling) || results(recs) != want {
			t.Errorf("%s: %s, %v", name, results(recs), err)
		}
		_, a := m.Peek("a")
		_, b := m.Peek("b")
		if _, failed := m.Peek(unfit); a || b || !failed {
			t.Errorf("%s: a is there %v, b %v, the key that failed %v", name, a, b, failed)
		}
		if _ = r.SetFenced(ctx, time.Minute, loads, false); results(loads) != "a refused, b refused" {
			t.Errorf("loads that began before %s: %s", name, results(loads))
		}
		m.SetFault(func(context.Context, string, ...string) error { return errBoom })
		if err := change(r, recs[:1]); !errors.Is(err, errBoom) || results(recs[:1]) != "a failed (boom)" {
			t.Errorf("%s of a broken remote: %s, %v", name, results(recs[:1]), err)
		}
	}
}

func TestAClosedFenceOpensUnderItsToken(t *testing.T) {
	r, _ := newRemote(remotetest.NewMemory())
	load := func() string {
		recs := writesOf("k")
		r.OpenFences(ctx, time.Minute, recs)
		_ = r.SetFenced(ctx, time.Minute, recs, false)
		return results(recs)
	}
	_ = r.CloseFences(ctx, time.Minute, "t", recordsOf("k"))
	if got := load(); got != "k refused" {
		t.Errorf("closed: %s", got)
	}
	_ = r.ReopenFences(ctx, time.Minute, "another", recordsOf("k"))
	if got := load(); got != "k refused" {
		t.Errorf("reopened under another token: %s", got)
	}
	_ = r.ReopenFences(ctx, time.Minute, "t", recordsOf("k"))
	if got := load(); got != "k stored" {
		t.Errorf("reopened: %s", got)
	}
}

func TestLeasesAreAnsweredKeyByKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		r, log := newRemote(m)
		m.Put("there", "v")
		if held := r.AcquireLeases(ctx, time.Minute, recordsOf("held"), []remote.LeaseAsk{{Key: "held", Token: "other"}}); held[0].State != remote.LeaseWon {
			t.Fatal(held)
		}
		states := func() (states []remote.LeaseState) {
			for _, a := range r.AcquireLeases(ctx, time.Minute, recordsOf("free", unfit, "there", "held"), []remote.LeaseAsk{
				{Key: "free", Token: "mine"}, {Key: unfit, Token: "mine"}, {Key: "there", Token: "mine"},
				{Key: "held", Token: "mine", Awaited: "other"},
			}) {
				states = append(states, a.State)
			}
			return states
		}
		if got := states(); len(got) != 4 || got[0] != remote.LeaseWon || got[1] != remote.LeaseUnknown || got[2] != remote.LeaseStored || got[3] != remote.LeaseHeld {
			t.Errorf("the leases are %v", got)
		}
		wanted := r.ReleaseLeases(ctx, time.Second, []remote.LeaseEnd{
			{Key: "free", Token: "mine"}, {Key: unfit, Token: "mine"}, {Key: "held", Token: "other", Failure: "boom"},
		})
		if len(wanted) != 3 || wanted[0] || wanted[1] || !wanted[2] {
			t.Errorf("the leases are wanted: %v", wanted)
		}
		if got := states(); got[3] != remote.LeaseFailed {
			t.Errorf("the leases are %v", got)
		}
		time.Sleep(time.Second) // the failure was kept for so long
		if got := states(); got[3] != remote.LeaseWon {
			t.Errorf("the leases are %v", got)
		}
		if failed, _ := log.take(); failed != "lease lease lease lease" {
			t.Errorf("failures of %q are counted", failed)
		}
	})
}

// tracker tells of changed keys.
type tracker struct {
	*store
	err error
}

func (tr tracker) Track(_ context.Context, prefixes []string, ready func(), changed func(keys []string)) error {
	ready()
	changed(prefixes)
	return tr.err
}

func TestTrackPassesOnWhatTheStoreTells(t *testing.T) {
	r, log := newRemote(tracker{newStore(), errBoom})
	told := ""
	err := r.Track(ctx, []string{"a", "b"}, func() { told += "ready " }, func(keys []string) { told += strings.Join(keys, " ") })
	if !errors.Is(err, errBoom) || told != "ready a b" {
		t.Errorf("told %q, %v", told, err)
	}
	if failed, _ := log.take(); failed != "" {
		t.Errorf("failures of %q are counted", failed)
	}
}
