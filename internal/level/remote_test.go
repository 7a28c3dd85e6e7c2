package level_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestOneKeyAndManyUseTheCallsThatSuitThem(t *testing.T) {
	get := func(timed bool) func(r *level.Remote, keys []string) error {
		return func(r *level.Remote, keys []string) error { return r.Get(ctx, recordsOf(keys...), timed) }
	}
	set := func(r *level.Remote, keys []string) error { return r.Set(ctx, writesOf(keys...)) }
	del := func(r *level.Remote, keys []string) error { return r.Del(ctx, recordsOf(keys...)) }
	tests := []struct {
		name        string
		do          func(r *level.Remote, keys []string) error
		keys        []string
		plain, able string
	}{
		{"get one", get(false), []string{"a"}, "Get a", "Get a"},
		{"get one, timed", get(true), []string{"a"}, "Get a", "GetWithTTL a"},
		{"get many", get(false), []string{"a", "b"}, "MGet [a b]", "MGet [a b]"},
		{"get many, timed", get(true), []string{"a", "b"}, "MGet [a b]", "MGetWithTTL [a b]"},
		{"get none", get(true), nil, "", ""},
		{"set one", set, []string{"a"}, "SetEX a=v 1s", "SetEX a=v 1s"},
		{"set many", set, []string{"a", "b"}, "MSet [a b] 1s", "MSetItems [a 1s b 1s]"},
		{"set none", set, nil, "", ""},
		{"delete one", del, []string{"a"}, "Del a", "Del a"},
		{"delete many", del, []string{"a", "b"}, "Del a, Del b", "MDel [a b]"},
		{"delete none", del, nil, "", ""},
	}
	for _, test := range tests {
		s := newStore()
		for kind, with := range map[string]struct {
			store remote.Remote
			want  string
		}{"without abilities": {s, test.plain}, "with abilities": {ableStore{s}, test.able}} {
			r, log := newRemote(with.store)
			if err := test.do(r, test.keys); err != nil {
				t.Errorf("%s %s: %v", test.name, kind, err)
			}
			if got := s.take(); got != with.want {
				t.Errorf("%s %s calls %q, want %q", test.name, kind, got, with.want)
			}
			if failed, _ := log.take(); failed != "" {
				t.Errorf("%s %s: failures of %q are counted", test.name, kind, failed)
			}
		}
	}
}

func TestExistsIfThereIsAStore(t *testing.T) {
	if r, _ := newRemote(nil); r.Exists() {
		t.Error("without a store, it exists")
	}
	if r, _ := newRemote(newStore()); !r.Exists() {
		t.Error("with a store, it does not exist")
	}
}

func TestGetTellsValuesFromAbsentKeys(t *testing.T) {
	s := newStore()
	s.memory.Put("a", "va")
	s.memory.Put("empty", "")
	for kind, store := range map[string]remote.Remote{"without abilities": s, "with abilities": ableStore{s}} {
		r, _ := newRemote(store)
		many := recordsOf("a", "absent", "empty")
		if err := r.Get(ctx, many, true); err != nil || answers(many) != "a=va, absent-, empty=" {
			t.Errorf("many, %s: %s, %v", kind, answers(many), err)
		}
		for _, rec := range many {
			one := recordsOf(rec.Key)
			if err := r.Get(ctx, one, true); err != nil || answers(one) != answers([]*record.Record{rec}) {
				t.Errorf("one, %s: %s, %v", kind, answers(one), err)
			}
		}
	}
}

func TestGetReplacesWhatWasAnsweredBefore(t *testing.T) {
	for _, n := range []int{1, 2} {
		r, _ := newRemote(newStore())
		recs := recordsOf("a", "b")[:n]
		for _, rec := range recs {
			rec.Got = record.Got{There: true, Data: []byte("old"), TTL: time.Hour, Err: errBoom}
		}
		if err := r.Get(ctx, recs, true); err != nil || recs[0].Got.There || recs[0].Got.Err != nil || recs[0].Got.Data != nil {
			t.Errorf("of %d keys: %s, %v", n, answers(recs), err)
		}
	}
}

func TestLifetimesOfLocalCopies(t *testing.T) {
	const asked = 10 * time.Second
	tests := map[string]struct {
		store func(s *store) remote.Remote
		timed bool
		want  map[string]time.Duration
	}{
		"the store tells":         {func(s *store) remote.Remote { return ableStore{s} }, true, map[string]time.Duration{"v": asked, "*": 2 * asked, "eternal": record.NoBound}},
		"it is not asked":         {func(s *store) remote.Remote { return ableStore{s} }, false, map[string]time.Duration{"v": lifetime.Value, "*": lifetime.Placeholder, "eternal": lifetime.Value}},
		"the store does not tell": {func(s *store) remote.Remote { return s }, true, map[string]time.Duration{"v": lifetime.Value, "*": lifetime.Placeholder, "eternal": lifetime.Value}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				_ = s.memory.SetEX(ctx, "v", "value", asked)
				_ = s.memory.SetEX(ctx, "*", "*", 2*asked)
				s.memory.Put("eternal", "value")
				r, _ := newRemote(test.store(s))
				recs := recordsOf("v", "*", "eternal")
				_ = r.Get(ctx, recs, test.timed)
				for _, rec := range recs {
					one := recordsOf(rec.Key)
					_ = r.Get(ctx, one, test.timed)
					for _, got := range []record.Got{rec.Got, one[0].Got} {
						if bound := got.Bound(); bound != test.want[rec.Key] {
							t.Errorf("%q: %s, want %s", rec.Key, bound, test.want[rec.Key])
						}
						if assumed := name != "the store tells"; got.Assumed != assumed {
							t.Errorf("%q: the lifetime is assumed: %t", rec.Key, got.Assumed)
						}
					}
				}
			})
		})
	}
}

// The clock of a copy runs from before the remote was asked: the answer may have been under way.
func TestASlowAnswerDoesNotLengthenTheLifeOfACopy(t *testing.T) {
	for _, n := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			m := remotetest.NewMemory()
			_ = m.SetEX(ctx, "a", "v", time.Minute)
			_ = m.SetEX(ctx, "b", "v", time.Minute)
			r, _ := newRemote(slowAnswers{m})
			recs := recordsOf("a", "b")[:n]
			_ = r.Get(ctx, recs, true)
			for _, rec := range recs {
				if left, _ := m.TTL(rec.Key); rec.Got.Bound() > left {
					t.Errorf("the copy of one of %d keys may live for %s, though %s is left", n, rec.Got.Bound(), left)
				}
			}
			time.Sleep(time.Minute)
			if bound := recs[0].Got.Bound(); bound != record.Expired {
				t.Errorf("after its end, a copy of one of %d keys may live for %s", n, bound)
			}
		})
	}
}

// slowAnswers is a store whose answers to reads take a second.
type slowAnswers struct{ *remotetest.Memory }

func (s slowAnswers) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	defer time.Sleep(time.Second)
	return s.Memory.GetWithTTL(ctx, key)
}

func (s slowAnswers) MGetWithTTL(ctx context.Context, keys ...string) (map[string]remote.Value, error) {
	defer time.Sleep(time.Second)
	return s.Memory.MGetWithTTL(ctx, keys...)
}

func TestGetNotesThePhaseFromBeforeTheCall(t *testing.T) {
	for _, n := range []int{1, 2} {
		s := newStore()
		r, _ := newRemote(s)
		r.Doubts = new(doubt.Set)
		r.Doubts.Gap()
		before := r.Doubts.Now()
		s.memory.SetFault(func(context.Context, string, ...string) error { r.Doubts.Gap(); return nil })
		recs := recordsOf("a", "b")[:n]
		_ = r.Get(ctx, recs, true)
		for _, rec := range recs {
			if rec.Got.Phase != before {
				t.Errorf("one of %d keys has another phase", n)
			}
		}
	}
}

// oddValues returns other values from MGet than an adapter should.
type oddValues struct {
	*store
	values map[string]any
}

func (o oddValues) MGet(context.Context, ...string) (map[string]any, error) { return o.values, nil }

func TestValuesThatAreNoTextCountAsAbsent(t *testing.T) {
	data := []byte("bytes")
	r, _ := newRemote(oddValues{newStore(), map[string]any{"a": data, "b": 42, "c": nil}})
	recs := recordsOf("a", "b", "c")
	err := r.Get(ctx, recs, true)
	data[0] = 'x' // of the store
	if err != nil || answers(recs) != "a=bytes, b-, c-" {
		t.Errorf("%s, %v", answers(recs), err)
	}
}

// partialReads returns what is there, and an error that says which keys could not be read.
type partialReads struct {
	*remotetest.Memory
	err error
}

func (p partialReads) MGetWithTTL(ctx context.Context, keys ...string) (map[string]remote.Value, error) {
	found, _ := p.Memory.MGetWithTTL(ctx, keys...)
	return found, p.err
}

func TestAReadThatFailsInPartHasAnErrorForThatPart(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string
	}{
		"it names the keys":          {failing("broken"), "there=v, absent-, broken- (boom)"},
		"it names none":              {errBoom, "there=v, absent- (boom), broken- (boom)"},
		"it names a key that is had": {failing("there", "broken"), "there=v, absent-, broken- (boom)"},
	}
	for name, test := range tests {
		m := remotetest.NewMemory()
		m.Put("there", "v")
		r, log := newRemote(partialReads{m, test.err})
		recs := recordsOf("there", "absent", "broken")
		if err := r.Get(ctx, recs, true); !errors.Is(err, errBoom) || answers(recs) != test.want {
			t.Errorf("%s: %s, %v", name, answers(recs), err)
		}
		if failed, _ := log.take(); failed != "mget" {
			t.Errorf("%s: failures of %q are counted", name, failed)
		}
	}
}

// batches is a store whose batches of writes do nothing and return err.
type batches struct {
	*store
	err error
}

func (b batches) MSetItems(context.Context, ...remote.Item) error { return b.err }
func (b batches) MDel(context.Context, ...string) error           { return b.err }

func TestABatchThatFailsInPartFailsForThatPartAlone(t *testing.T) {
	const all = "a failed (boom), b failed (boom), c failed (boom)"
	some := failing("b")
	text := func(err error) string { return strings.ReplaceAll(all, "boom", err.Error()) }
	tests := map[string]struct {
		err  error
		want string
	}{
		"nothing":                            {nil, "a stored, b stored, c stored"},
		"all":                                {errBoom, all},
		"one key":                            {some, "a stored, b failed (boom), c stored"},
		"two keys":                           {failing("a", "c"), "a failed (boom), b stored, c failed (boom)"},
		"one key, with more text":            {fmt.Errorf("tried twice: %w", some), "a stored, b failed (boom), c stored"},
		"one key on each of two servers":     {errors.Join(failing("a"), failing("b")), "a failed (boom), b failed (boom), c stored"},
		"one key, and another server failed": {errors.Join(some, errOther), text(errors.Join(some, errOther))},
		"keys that were not asked for":       {failing("prefix:b"), text(failing("prefix:b"))},
		"one key, and one not asked for":     {failing("b", "prefix:c"), text(failing("b", "prefix:c"))},
		"no key":                             {failing(), text(failing())},
	}
	for name, test := range tests {
		r, log := newRemote(batches{newStore(), test.err})
		set, del := writesOf("a", "b", "c"), recordsOf("a", "b", "c")
		for op, do := range map[string]struct {
			recs []*record.Record
			err  error
		}{"mset": {set, r.Set(ctx, set)}, "mdel": {del, r.Del(ctx, del)}} {
			if got := results(do.recs); !errors.Is(do.err, test.err) || got != test.want {
				t.Errorf("%s, %s: %s, want %s (%v)", op, name, got, test.want, do.err)
			}
		}
		if failed, _ := log.take(); (test.err == nil) != (failed == "") {
			t.Errorf("%s: failures of %q are counted", name, failed)
		}
	}
}

func TestSetOfOneKeyHeedsItsCondition(t *testing.T) {
	s := newStore()
	r, _ := newRemote(ableStore{s})
	tests := []struct {
		condition record.Condition
		want      string
		call      string
	}{
		{record.IfPresent, "k not due", "SetXX k=v 1s"},
		{record.IfAbsent, "k stored", "SetNX k=v 1s"},
		{record.IfAbsent, "k not due", "SetNX k=v 1s"},
		{record.IfPresent, "k stored", "SetXX k=v 1s"},
		{record.Always, "k stored", "SetEX k=v 1s"},
	}
	for i, test := range tests {
		recs := writesOf("k")
		recs[0].If, recs[0].StoreErr = test.condition, errOther // of an earlier call
		if err := r.Set(ctx, recs); err != nil || results(recs) != test.want {
			t.Errorf("%d: %s, want %s (%v)", i, results(recs), test.want, err)
		}
		if got := s.take(); got != test.call {
			t.Errorf("%d calls %q, want %q", i, got, test.call)
		}
	}
	s.memory.SetFault(func(context.Context, string, ...string) error { return errBoom })
	for _, condition := range []record.Condition{record.Always, record.IfAbsent, record.IfPresent} {
		recs := writesOf("k")
		recs[0].If = condition
		if err := r.Set(ctx, recs); !errors.Is(err, errBoom) || results(recs) != "k failed (boom)" {
			t.Errorf("condition %d: %s, %v", condition, results(recs), err)
		}
	}
}

func TestAStoreWhoseBatchesHaveOneLifetimeGetsOneForEach(t *testing.T) {
	s := newStore()
	r, log := newRemote(s)
	recs := writesOf("a", "b", "c")
	recs[1].Life.Remote = time.Minute
	if err := r.Set(ctx, recs); err != nil || s.take() != "MSet [a c] 1s, MSet [b] 1m0s" {
		t.Errorf("%v", err)
	}
	// One of the calls fails.
	s.memory.SetFault(func(_ context.Context, _ string, keys ...string) error {
		if keys[0] == "b" {
			return errBoom
		}
		return nil
	})
	if err := r.Set(ctx, recs); !errors.Is(err, errBoom) || results(recs) != "a stored, b failed (boom), c stored" {
		t.Errorf("%s, %v", results(recs), err)
	}
	if failed, _ := log.take(); failed != "mset" {
		t.Errorf("failures of %q are counted", failed)
	}
}

func TestKeysAreRemovedOneByOneIfTheStoreCannotRemoveSeveral(t *testing.T) {
	s := newStore()
	r, log := newRemote(s)
	s.memory.SetFault(func(_ context.Context, _ string, keys ...string) error {
		if keys[0] == "b" {
			return errBoom
		}
		return nil
	})
	recs := recordsOf("a", "b", "c")
	if err := r.Del(ctx, recs); !errors.Is(err, errBoom) || results(recs) != "a stored, b failed (boom), c stored" {
		t.Errorf("%s, %v", results(recs), err)
	}
	if failed, _ := log.take(); failed != "mdel" {
		t.Errorf("failures of %q are counted", failed)
	}
}

func TestRemovingKeysOneByOneEndsWithItsContext(t *testing.T) {
	s := newStore()
	r, log := newRemote(s)
	leaving, leave := context.WithCancel(ctx)
	s.memory.SetFault(func(_ context.Context, _ string, keys ...string) error {
		if keys[0] == "b" {
			leave()
		}
		return nil
	})
	recs := recordsOf("a", "b", "c", "d")
	err := r.Del(leaving, recs)
	const want = "a stored, b failed (context canceled), c failed (context canceled), d failed (context canceled)"
	if !errors.Is(err, context.Canceled) || results(recs) != want || s.take() != "Del a, Del b" {
		t.Errorf("%s, %v", results(recs), err)
	}
	if failed, lines := log.take(); failed != "" || len(lines) != 0 {
		t.Errorf("failures of %q are counted, the log has %q", failed, lines)
	}
}

func TestWritingIsToldOfValuesBeforeTheyAreWritten(t *testing.T) {
	for _, n := range []int{1, 3} {
		m := remotetest.NewMemory()
		r, _ := newRemote(m)
		told := ""
		r.Writing = func(key string, data []byte, life time.Duration) {
			if _, there := m.Peek(key); there {
				t.Errorf("%q is written already", key)
			}
			told += fmt.Sprint(key, "=", string(data), " ", life, " ")
		}
		_ = r.Set(ctx, writesOf("a", "b", "c")[:n])
		_ = r.SetFenced(ctx, time.Minute, writesOf("d", "e", "f")[:n], false)
		_ = r.Del(ctx, recordsOf("a", "b", "c")[:n])
		if want := map[int]string{1: "a=v 1s d=v 1s ", 3: "a=v 1s b=v 1s c=v 1s d=v 1s e=v 1s f=v 1s "}[n]; told != want {
			t.Errorf("%d keys: told of %q, want %q", n, told, want)
		}
	}
}

// operations calls every method of a Remote once, with one key and with two, and returns the name
// under which each counts its failure.
func operations(ctx context.Context, r *level.Remote) (names string) {
	_ = r.Get(ctx, recordsOf("a"), true)
	_ = r.Get(ctx, recordsOf("a", "b"), true)
	_ = r.Set(ctx, writesOf("a"))
	_ = r.Set(ctx, writesOf("a", "b"))
	_ = r.Del(ctx, recordsOf("a"))
	_ = r.Del(ctx, recordsOf("a", "b"))
	_, _ = r.Lock(ctx, "lock", "stamp", time.Second)
	r.Unlock(ctx, "lock", "stamp")
	left, _, _ := r.LockLeft(ctx, "lock")
	_ = left
	r.OpenFences(ctx, time.Second, recordsOf("a"))
	_ = r.SetFenced(ctx, time.Second, writesOf("a"), true)
	_ = r.DelFenced(ctx, time.Second, recordsOf("a"))
	_ = r.CloseFences(ctx, time.Second, "t", recordsOf("a"))
	_ = r.ReopenFences(ctx, time.Second, "t", recordsOf("a"))
	_ = r.AcquireLeases(ctx, time.Second, recordsOf("a"), []remote.LeaseAsk{{Key: "a", Token: "t"}})
	_ = r.ReleaseLeases(ctx, time.Second, []remote.LeaseEnd{{Key: "a", Token: "t"}})
	return "get mget set mset del mdel set del get fence set del fence fence lease lease"
}

func TestFailuresAreCountedAndLoggedAtABoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		r, log := newRemote(m)
		m.SetFault(func(context.Context, string, ...string) error { return errBoom })
		want := operations(ctx, r)
		failed, lines := log.take()
		if failed != want {
			t.Errorf("counted %q, want %q", failed, want)
		}
		if len(lines) != 1 || lines[0] != "warn cache c: the remote failed: get: boom" {
			t.Errorf("the log has %q", lines)
		}
		time.Sleep(10 * time.Second)
		operations(ctx, r)
		if _, lines := log.take(); len(lines) != 1 || !strings.Contains(lines[0], "15 lines") {
			t.Errorf("after ten seconds, the log has %q", lines)
		}
	})
}

func TestACallersCancelIsNoFailureOfTheRemote(t *testing.T) {
	r, log := newRemote(remotetest.NewMemory())
	left, leave := context.WithCancel(ctx)
	leave()
	operations(left, r)
	if failed, lines := log.take(); failed != "" || len(lines) != 0 {
		t.Errorf("failures of %q are counted, the log has %q", failed, lines)
	}
}

// The remote was too slow for the caller.
func TestACallersDeadlineIsAFailureOfTheRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		m.SetLatency(time.Minute)
		r, log := newRemote(m)
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := r.Get(brief, recordsOf("a"), true); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if failed, lines := log.take(); failed != "get" || len(lines) != 1 {
			t.Errorf("failures of %q are counted, the log has %q", failed, lines)
		}
	})
}

func TestALockBelongsToOneStamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		r, _ := newRemote(m)
		if left, known, silent := r.LockLeft(ctx, "lock"); left != 0 || !known || silent != nil {
			t.Errorf("before it is taken, it has %s left, %v", left, known)
		}
		if won, err := r.Lock(ctx, "lock", "mine", time.Minute); !won || err != nil {
			t.Fatal(won, err)
		}
		if won, err := r.Lock(ctx, "lock", "theirs", time.Hour); won || err != nil {
			t.Errorf("a lock that is taken is taken again: %v, %v", won, err)
		}
		time.Sleep(20 * time.Second)
		if left, known, silent := r.LockLeft(ctx, "lock"); left != 40*time.Second || !known || silent != nil {
			t.Errorf("it has %s left, %v", left, known)
		}
		r.Unlock(ctx, "lock", "theirs")
		if text, _ := m.Peek("lock"); text != "mine" {
			t.Errorf("another stamp gave it back: %q", text)
		}
		r.Unlock(ctx, "lock", "mine")
		if won, err := r.Lock(ctx, "lock", "theirs", time.Minute); !won || err != nil {
			t.Errorf("when it was given back: %v, %v", won, err)
		}
		time.Sleep(time.Minute)
		if won, err := r.Lock(ctx, "lock", "mine", time.Minute); !won || err != nil {
			t.Errorf("when it has run out: %v, %v", won, err)
		}
	})
}

func TestALockOfABrokenRemoteIsNotTaken(t *testing.T) {
	m := remotetest.NewMemory()
	r, _ := newRemote(m)
	m.SetFault(func(context.Context, string, ...string) error { return errBoom })
	if won, err := r.Lock(ctx, "lock", "mine", time.Minute); won || !errors.Is(err, errBoom) {
		t.Errorf("%v, %v", won, err)
	}
	if left, known, silent := r.LockLeft(ctx, "lock"); left != 0 || known || !errors.Is(silent, errBoom) {
		t.Errorf("it has %s left, %v, %v", left, known, silent)
	}
}

func TestAStoreThatPanicsWhenALockIsGivenBack(t *testing.T) {
	m := remotetest.NewMemory()
	r, log := newRemote(m)
	m.SetFault(func(context.Context, string, ...string) error { panic("the pieces") })
	r.Unlock(ctx, "lock", "mine")
	if failed, _ := log.take(); failed != "del" {
		t.Errorf("failures of %q are counted", failed)
	}
}

func TestALockStaysIfTheStoreCannotGiveItBack(t *testing.T) {
	s := newStore()
	r, log := newRemote(s)
	if r.Unlocks() {
		t.Error("it says that it can")
	}
	_, _ = r.Lock(ctx, "lock", "mine", time.Minute)
	r.Unlock(ctx, "lock", "mine")
	if text, _ := s.memory.Peek("lock"); text != "mine" {
		t.Errorf("the lock is %q", text)
	}
	if left, known, silent := r.LockLeft(ctx, "lock"); left != 0 || known || silent != nil {
		t.Errorf("a store that does not tell: %s left, %v", left, known)
	}
	if failed, _ := log.take(); failed != "" {
		t.Errorf("failures of %q are counted", failed)
	}
	if able, _ := newRemote(ableStore{s}); !able.Unlocks() {
		t.Error("a store that can give back locks: it says that it cannot")
	}
}
