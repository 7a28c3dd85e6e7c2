package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/lease"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestOffLoadsEverythingOnThisNode(t *testing.T) {
	f := newFleet(1, false, nil)
	f.load = func(context.Context, string) (string, error) { return "v", nil }
	f.hold("a", "other")
	f.Put("b", "there")
	recs := []*record.Record{{Key: "a"}, {Key: "b"}}
	n := f.nodes[0]
	lease.Off{}.Wake([]string{"a"})
	lease.Off{}.Lead(ctx, recs, n)
	if n.sorted(&n.loaded) != "a b" || f.loads.Load() != 1 || value(recs[1]) != "v" || n.sorted(&n.read) != "" {
		t.Errorf("loaded %q in %d calls", n.sorted(&n.loaded), f.loads.Load())
	}
}

func TestOneNodeLoadsAndTheOthersRead(t *testing.T) {
	for _, linked := range []bool{false, true} {
		t.Run(fmt.Sprintf("linked=%v", linked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(5, linked, nil)
				began := time.Now()
				var wg sync.WaitGroup
				for _, n := range f.nodes {
					wg.Go(func() {
						if recs := n.get(ctx, "a", "b"); value(recs[0]) != "v of a" || value(recs[1]) != "v of b" {
							t.Errorf("it gets %q and %q", value(recs[0]), value(recs[1]))
						}
						if got := n.sorted(&n.ended); got != "a b" {
							t.Errorf("it ends %q", got)
						}
					})
				}
				wg.Wait()
				// They find out by themselves, and without a pause if they are told.
				most := 2 * time.Second
				if !linked {
					most += lookAgain
				}
				if took := time.Since(began); f.loads.Load() != 1 || took > most {
					t.Errorf("%d loads took %s, want %s at most", f.loads.Load(), took, most)
				}
				if f.leaseOf("a") != "-" || f.leaseOf("b") != "-" {
					t.Errorf("the leases are %q and %q", f.leaseOf("a"), f.leaseOf("b"))
				}
			})
		})
	}
}

func TestOverlappingBatchesLoadEachKeyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(2, false, nil)
		f.load = func(_ context.Context, key string) (string, error) { // all of it in less time than a lease lives
			time.Sleep(100 * time.Millisecond)
			return "v of " + key, nil
		}
		var wg sync.WaitGroup
		for i, n := range f.nodes {
			keys := []string{fmt.Sprint(i), fmt.Sprint(i + 1), fmt.Sprint(i + 2)}
			if i == 1 { // in another order
				keys[0], keys[2] = keys[2], keys[0]
			}
			wg.Go(func() {
				for _, rec := range n.get(ctx, keys...) {
					if value(rec) != "v of "+rec.Key {
						t.Errorf("%q is %q", rec.Key, value(rec))
					}
				}
			})
		}
		wg.Wait()
		one, two := f.nodes[0], f.nodes[1]
		if n := len(one.loaded) + len(two.loaded); n != 4 {
			t.Errorf("loaded %q and %q", one.sorted(&one.loaded), two.sorted(&two.loaded))
		}
	})
}

func TestOthersAreToldOnlyOfKeysThatTheyWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(2, false, nil)
		one, two := f.nodes[0], f.nodes[1]
		leaving, leave := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { one.get(leaving, "a", "b") })
		synctest.Wait()
		wg.Go(func() { two.get(ctx, "b") })
		synctest.Wait()
		leave() // the load goes on: its loader does not heed this
		wg.Wait()
		if got := one.sorted(&one.told); got != "b" {
			t.Errorf("told of %q", got)
		}
		if len(one.toldOn) != 1 || one.toldOn[0] != nil {
			t.Errorf("the contexts had ended: %v", one.toldOn)
		}
		if got := two.sorted(&two.told); got != "" || two.sorted(&two.read) != "b" {
			t.Errorf("the other told of %q, and read %q", got, two.sorted(&two.read))
		}
	})
}

func TestTheFailureOfALoadReachesTheNodesThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(4, false, nil)
		f.load = func(context.Context, string) (string, error) { time.Sleep(time.Second); return "", errBoom }
		var own, elsewhere atomic.Int64
		var wg sync.WaitGroup
		for _, n := range f.nodes {
			wg.Go(func() {
				switch err := n.get(ctx, "k")[0].Err; {
				case errors.Is(err, errBoom):
					own.Add(1)
				case errors.Is(err, lease.ErrElsewhere) && err.Error() == `cache: the load on another node failed: "k": boom`:
					elsewhere.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if f.loads.Load() != 1 || own.Load() != 1 || elsewhere.Load() != 3 {
			t.Errorf("%d loads, %d own failures, %d of another node", f.loads.Load(), own.Load(), elsewhere.Load())
		}
		key, _ := remote.LeaseKey("k")
		if ttl, there := f.TTL(key); !there || ttl > time.Second {
			t.Errorf("the failure is kept for %s", ttl)
		}
		// It is not kept for a node that has not waited.
		f.load = func(context.Context, string) (string, error) { return "v", nil }
		if got := value(f.nodes[1].get(ctx, "k")[0]); got != "v" {
			t.Errorf("a later call gets %q", got)
		}
	})
}

func TestTextsOfFailuresAreCutAndKeysAreQuoted(t *testing.T) {
	tests := map[string]struct {
		text, want string
	}{
		"long":                  {strings.Repeat("x", 5000), strings.Repeat("x", 1024)},
		"long, of wide letters": {"x" + strings.Repeat("世", 5000), "x" + strings.Repeat("世", 341)},
		"of several lines":      {"first\nsecond\r\n\x1b[31mthird", "first second [31mthird"},
		"no UTF-8":              {"a\xffb", "ab"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(2, false, nil)
				f.load = func(context.Context, string) (string, error) {
					time.Sleep(time.Second)
					return "", errors.New(test.text)
				}
				key := "{k}\n" + strings.Repeat("k", 10_000)
				var wg sync.WaitGroup
				wg.Go(func() {
					if err := f.nodes[0].get(ctx, key)[0].Err; err.Error() != test.text {
						t.Errorf("the node that loads gets %d bytes", len(err.Error()))
					}
				})
				synctest.Wait()
				wg.Go(func() {
					text := f.nodes[1].get(ctx, key)[0].Err.Error()
					if got := text[strings.LastIndex(text, "bytes): ")+len("bytes): "):]; got != test.want {
						t.Errorf("the node that waits gets %q, want %q", got, test.want)
					}
					if len(text) > 1500 || strings.ContainsAny(text, "\n\r\x1b") || !utf8.ValidString(text) {
						t.Errorf("the text has %d bytes: %q", len(text), text)
					}
				})
				wg.Wait()
			})
		})
	}
}

// A context error that the loader returns on its own, such as that of a query with a deadline, is an
// error like any other.
func TestContextErrorsOfLoadersArePassedOn(t *testing.T) {
	for _, err := range []error{context.Canceled, fmt.Errorf("load: %w", context.DeadlineExceeded)} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(20, false, nil)
			f.load = func(context.Context, string) (string, error) { time.Sleep(time.Second); return "", err }
			began := time.Now()
			var own, elsewhere atomic.Int64
			var wg sync.WaitGroup
			for _, n := range f.nodes {
				wg.Go(func() {
					switch got := n.get(ctx, "k")[0].Err; {
					case errors.Is(got, lease.ErrElsewhere) && strings.HasSuffix(got.Error(), err.Error()):
						elsewhere.Add(1)
					case errors.Is(got, err):
						own.Add(1)
					default:
						t.Error(got)
					}
				})
			}
			wg.Wait()
			if took := time.Since(began); f.loads.Load() != 1 || own.Load() != 1 || elsewhere.Load() != 19 || took > time.Second+lookAgain {
				t.Errorf("%v: %d loads took %s", err, f.loads.Load(), took)
			}
		})
	}
}

// A load that ends because its callers have left says nothing of the loads of other nodes.
func TestTheEndOfALoadsContextIsNotPassedOn(t *testing.T) {
	for name, others := range map[string]bool{"of the load": false, "of its leader, while others wait": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(2, false, nil)
				leader, leave := context.WithCancel(ctx)
				f.load = func(loading context.Context, _ string) (string, error) {
					switch {
					case f.loads.Load() > 1:
						return "v", nil
					case others: // it uses the context of its leader in place of its own
						loading = leader
					}
					<-loading.Done()
					return "", loading.Err()
				}
				table := flight.NewTable[string]()
				load := func(loading context.Context, _ flight.Note[string]) (string, error) {
					return "", f.nodes[0].get(loading, "k")[0].Err
				}
				var wg sync.WaitGroup
				wg.Go(func() { _, _, _ = table.Do(leader, "k", load) })
				synctest.Wait()
				if others {
					wg.Go(func() { _, _, _ = table.Do(ctx, "k", load) })
				}
				wg.Go(func() {
					if got := value(f.nodes[1].get(ctx, "k")[0]); got != "v" {
						t.Errorf("the other node gets %q", got)
					}
				})
				synctest.Wait()
				leave()
				wg.Wait()
				if n := f.loads.Load(); n != 2 {
					t.Errorf("%d loads", n)
				}
			})
		})
	}
}

// Each node needs the value, and nobody can store it: they do not queue up to load it.
func TestAValueThatCouldNotBeStoredIsLoadedByAllNodesAtOnce(t *testing.T) {
	for _, linked := range []bool{false, true} {
		for _, err := range []error{nil, errBoom} { // a value may come with an error
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(20, linked, nil)
				f.load = func(context.Context, string) (string, error) { time.Sleep(time.Second); return notStored, nil }
				began := time.Now()
				var wg sync.WaitGroup
				for _, n := range f.nodes {
					wg.Go(func() {
						if got := value(n.getWith(ctx, err, "k")); got != notStored && got != "boom" {
							t.Errorf("it gets %q", got)
						}
					})
				}
				wg.Wait()
				most := 2 * time.Second
				if !linked {
					most += lookAgain
				}
				if took := time.Since(began); f.loads.Load() != 20 || took > most {
					t.Errorf("%d loads took %s, want %s at most", f.loads.Load(), took, most)
				}
			})
		}
	}
}

// The nodes that wait go on at once also if another call has taken the lease before they look again.
func TestANewCallDoesNotHoldUpThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(10, false, nil)
		f.load = func(context.Context, string) (string, error) { time.Sleep(time.Second); return notStored, nil }
		began := time.Now()
		var wg sync.WaitGroup
		for _, n := range f.nodes[1:] {
			wg.Go(func() { n.get(ctx, "k") })
		}
		for time.Since(began) < 1500*time.Millisecond { // it is busy with the key all the time
			f.nodes[0].get(ctx, "k")
		}
		wg.Wait()
		if took := time.Since(began); took > 2*time.Second+2*lookAgain {
			t.Errorf("it took %s", took)
		}
	})
}

// earlier is a store that was written before there was NotStored.
type earlier struct{ *remotetest.Memory }

func (e earlier) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	ends = slices.Clone(ends)
	for i := range ends {
		ends[i].NotStored = false
	}
	return e.Memory.ReleaseLeases(ctx, ttl, ends...)
}

func TestAStoreThatDoesNotKnowNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(3, false, func(m *remotetest.Memory) remote.Remote { return earlier{m} })
		f.load = func(context.Context, string) (string, error) { time.Sleep(time.Second); return notStored, nil }
		began := time.Now()
		var wg sync.WaitGroup
		for _, n := range f.nodes {
			wg.Go(func() {
				if got := value(n.get(ctx, "k")[0]); got != notStored {
					t.Errorf("it gets %q", got)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); f.loads.Load() != 3 || took > leaseTTL+time.Second {
			t.Errorf("%d loads took %s", f.loads.Load(), took)
		}
	})
}

// withError is the Steps of a node whose loads return a value and an error.
type withError struct {
	*node
	err error
}

func (w withError) Load(ctx context.Context, recs []*record.Record) {
	w.node.Load(ctx, recs)
	for _, rec := range recs {
		rec.Err = w.err
	}
}

// getWith is get for one key whose value comes with err.
func (n *node) getWith(ctx context.Context, err error, key string) *record.Record {
	rec := &record.Record{Key: key}
	n.policy.Lead(ctx, []*record.Record{rec}, withError{n, err})
	return rec
}

func TestALeaseThatIsNeverGivenBackExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(3, false, nil)
		f.hold("k", "dead")
		time.Sleep(leaseTTL / 2)
		began := time.Now()
		var wg sync.WaitGroup
		for _, n := range f.nodes {
			wg.Go(func() {
				if got := value(n.get(ctx, "k")[0]); got != "v of k" {
					t.Errorf("it gets %q", got)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); f.loads.Load() != 1 || took > leaseTTL/2+time.Second+2*lookAgain {
			t.Errorf("%d loads, after %s", f.loads.Load(), took)
		}
	})
}

// Each holder dies, and another node gets the lease before this one does.
func TestNobodyWaitsForLongerThanALeaseLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(1, false, nil)
		f.load = func(context.Context, string) (string, error) { return "v", nil }
		f.hold("k", "first")
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				key, _ := remote.LeaseKey("k")
				f.Put(key, fmt.Sprint("h:holder", i))
			}
		})
		began := time.Now()
		if got := value(f.nodes[0].get(ctx, "k")[0]); got != "v" || time.Since(began) != leaseTTL {
			t.Errorf("it gets %q after %s", got, time.Since(began))
		}
		if close(stop); !strings.Contains(f.leaseOf("k"), "holder") {
			t.Errorf("the lease of the other node is %q", f.leaseOf("k"))
		}
		wg.Wait()
	})
}

func TestPausesBetweenLooksGrowAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(1, false, nil)
		f.hold("k", "dead")
		var looks []time.Time
		f.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "acquireLeases" {
				looks = append(looks, time.Now())
			}
			return nil
		})
		f.nodes[0].get(ctx, "k")
		if n := len(looks); n < 30 || n > 75 {
			t.Errorf("%d looks in %s", n, leaseTTL)
		}
		if first := looks[2].Sub(looks[1]); first > 5*time.Millisecond {
			t.Errorf("the first pause is %s", first)
		}
		for i := 1; i < len(looks); i++ {
			if pause := looks[i].Sub(looks[i-1]); pause > lookAgain {
				t.Errorf("a pause is %s", pause)
			}
		}
	})
}

func TestWakeMakesACallAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(1, false, nil)
		n := f.nodes[0]
		f.hold("k", "other")
		done := make(chan struct{})
		go func() { defer close(done); n.get(ctx, "k") }()
		pass(time.Second) // the pauses are long by now
		asked := f.Calls("acquireLeases")
		n.policy.Wake([]string{"other key"})
		if synctest.Wait(); f.Calls("acquireLeases") != asked {
			t.Error("another key woke it")
		}
		n.policy.Wake([]string{"other key", "k"}) // in vain: the value is not there
		if synctest.Wait(); f.Calls("acquireLeases") != asked+1 {
			t.Errorf("it asked %d times", f.Calls("acquireLeases")-asked)
		}
		f.Put("k", "v")
		began := time.Now()
		n.policy.Wake([]string{"k"})
		<-done
		if took := time.Since(began); took != 0 || n.sorted(&n.read) != "k" || f.loads.Load() != 0 {
			t.Errorf("after %s it has read %q", took, n.sorted(&n.read))
		}
	})
}

// meddled is a store that calls after once, when a lease was asked for.
type meddled struct {
	*remotetest.Memory
	after func()
	once  sync.Once
}

func (m *meddled) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers, err := m.Memory.AcquireLeases(ctx, ttl, asks...)
	m.once.Do(m.after)
	return answers, err
}

// The value comes after the first look, and before the call waits to be woken.
func TestAWakeBetweenTheFirstLookAndTheWaitIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fleet
		f = newFleet(1, false, func(m *remotetest.Memory) remote.Remote {
			return &meddled{Memory: m, after: func() {
				m.Put("k", "v")
				f.nodes[0].policy.Wake([]string{"k"})
			}}
		})
		f.hold("k", "other")
		began := time.Now()
		if got := value(f.nodes[0].get(ctx, "k")[0]); got != "v" || time.Since(began) != 0 {
			t.Errorf("it gets %q after %s", got, time.Since(began))
		}
	})
}

func TestWhatCannotBeDecodedIsLoadedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(1, false, nil)
		n := f.nodes[0]
		f.Put("broken", "damaged")
		f.Put("good", "v")
		recs := []*record.Record{{Key: "broken", Reload: true}, {Key: "good"}, {Key: "absent", Reload: true}}
		n.policy.Lead(ctx, recs, n)
		if n.sorted(&n.loaded) != "absent broken" || n.sorted(&n.read) != "good" || n.sorted(&n.ended) != "absent broken good" {
			t.Errorf("loaded %q, read %q, ended %q", n.sorted(&n.loaded), n.sorted(&n.read), n.sorted(&n.ended))
		}
		if got, _ := f.Peek("broken"); got != "v of broken" {
			t.Errorf("the remote has %q", got)
		}
	})
}

func TestACallThatIsGivenUpEndsWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(1, false, nil)
		n := f.nodes[0]
		f.load = func(context.Context, string) (string, error) { return "v", nil }
		f.hold("held", "other")
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		began := time.Now()
		recs := n.get(brief, "free", "held")
		if value(recs[0]) != "v" || !errors.Is(recs[1].Err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%q and %v, after %s", value(recs[0]), recs[1].Err, time.Since(began))
		}
		if errors.Is(recs[1].Err, lease.ErrElsewhere) || n.sorted(&n.ended) != "free held" {
			t.Errorf("ended %q, with %v", n.sorted(&n.ended), recs[1].Err)
		}
		if f.leaseOf("free") != "-" || !strings.Contains(f.leaseOf("held"), "other") {
			t.Errorf("the leases are %q and %q", f.leaseOf("free"), f.leaseOf("held"))
		}
	})
}

// vanishing is a store from which "vanished" is removed right after it was found there.
type vanishing struct{ *remotetest.Memory }

func (v vanishing) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	defer func() { _, _ = v.Del(ctx, "vanished") }()
	return v.Memory.AcquireLeases(ctx, ttl, asks...)
}

func TestKeysOfOneCallWithDifferentFates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(1, false, func(m *remotetest.Memory) remote.Remote { return vanishing{m} })
		n := f.nodes[0]
		f.load = func(_ context.Context, key string) (string, error) {
			if key == "bad" {
				return "", errBoom
			}
			return "loaded", nil
		}
		f.Put("there", "old")
		f.Put("vanished", "old")
		for _, key := range []string{"stored later", "fails later", "freed later", "stuck"} {
			f.hold(key, "other")
		}
		done := make(chan []*record.Record)
		go func() {
			done <- n.get(ctx, "there", "vanished", "free", "bad", unfit, "stored later", "fails later", "freed later", "stuck")
		}()
		synctest.Wait()
		if got := n.sorted(&n.ended); got != unfit+" bad free there vanished" {
			t.Errorf("before the others are done, %q have ended", got)
		}
		f.Put("stored later", "of the other")
		f.give("stored later", "other", "")
		f.give("fails later", "other", "broken there")
		f.give("freed later", "other", "")
		pass(lookAgain)
		if got := n.sorted(&n.ended); got != unfit+" bad fails later free freed later stored later there vanished" {
			t.Errorf("then %q have ended", got)
		}
		want := []string{
			"old", "loaded", "loaded", "boom", "loaded", "of the other",
			`cache: the load on another node failed: "fails later": broken there`, "loaded", "loaded",
		}
		for i, rec := range <-done {
			if value(rec) != want[i] {
				t.Errorf("%q: %q, want %q", rec.Key, value(rec), want[i])
			}
		}
		if len(n.ended) != len(want) {
			t.Errorf("%q have ended", n.sorted(&n.ended))
		}
		for _, key := range []string{"free", "bad", "vanished", "freed later"} {
			if got := f.leaseOf(key); got != "-" {
				t.Errorf("the lease of %q is %q", key, got)
			}
		}
	})
}

func TestABrokenRemoteDoesNotDelayLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(2, false, nil)
		f.SetFault(func(context.Context, string, ...string) error { return errBoom })
		began := time.Now()
		var wg sync.WaitGroup
		for _, n := range f.nodes {
			wg.Go(func() {
				if got := value(n.get(ctx, "k")[0]); got != "v of k" {
					t.Errorf("it gets %q", got)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != time.Second || f.loads.Load() != 2 {
			t.Errorf("%d loads took %s", f.loads.Load(), took)
		}
	})
}

func TestALeaseThatCannotBeGivenBackHoldsUpTheCallerForABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(1, false, nil)
		f.SetFault(func(ctx context.Context, op string, _ ...string) error {
			if op == "releaseLeases" {
				<-ctx.Done()
			}
			return ctx.Err()
		})
		began := time.Now()
		if got := value(f.nodes[0].get(ctx, "k")[0]); got != "v of k" || time.Since(began) > 6*time.Second {
			t.Errorf("it gets %q after %s", got, time.Since(began))
		}
	})
}

func TestALoadThatPanicsGivesBackItsLease(t *testing.T) {
	f := newFleet(1, false, nil)
	f.load = func(context.Context, string) (string, error) { panic("the pieces") }
	func() {
		defer func() {
			if v := recover(); v != "the pieces" {
				t.Errorf("the caller gets the panic %v", v)
			}
		}()
		f.nodes[0].get(ctx, "k")
	}()
	if got := f.leaseOf("k"); got != "-" {
		t.Errorf("the lease is %q", got)
	}
}

func TestNoRecordsAreNoLoad(t *testing.T) {
	f := newFleet(1, false, nil)
	if f.nodes[0].get(ctx); f.loads.Load() != 0 {
		t.Errorf("%d loads", f.loads.Load())
	}
}
