package level_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// deaf is a Memory whose calls go on when their ctx has ended, for a minute, and then take effect.
type deaf struct {
	*remotetest.Memory
	calls atomic.Int64
}

func newDeaf() *deaf {
	d := &deaf{Memory: remotetest.NewMemory()}
	d.SetFault(func(context.Context, string, ...string) error {
		d.calls.Add(1)
		time.Sleep(time.Minute)
		return nil
	})
	return d
}

func (*deaf) HeedsContext() bool { return false }

// stubborn passes on a ctx that does not end.
func (d *deaf) Del(_ context.Context, key string) (int64, error) {
	return d.Memory.Del(context.Background(), key)
}

func (d *deaf) Get(_ context.Context, key string) (string, error) {
	return d.Memory.Get(context.Background(), key)
}

const timeout = 100 * time.Millisecond

// Whatever the store does, no call takes longer than the timeout, and a batch counts as one call.
func TestNoCallTakesLongerThanTheTimeout(t *testing.T) {
	hangs := func(m *remotetest.Memory) { m.SetLatency(time.Hour) }
	plain := newStore()
	for name, s := range map[string]remote.Remote{"heeds": func() remote.Remote { m := remotetest.NewMemory(); hangs(m); return m }(), "does not": newDeaf(), "one by one": plain} {
		hangs(plain.memory)
		synctest.Test(t, func(t *testing.T) {
			r, log := newGuarded(s, level.Guards{Timeout: timeout})
			calls := map[string]func(ctx context.Context) error{
				"get":  func(ctx context.Context) error { return r.Get(ctx, recordsOf("a"), true) },
				"mget": func(ctx context.Context) error { return r.Get(ctx, recordsOf("a", "b"), true) },
				"set":  func(ctx context.Context) error { return r.Set(ctx, writesOf("a")) },
				"mset": func(ctx context.Context) error {
					recs := writesOf("a", "b", "c")
					recs[1].Life.Remote, recs[2].Life.Remote = time.Hour, time.Minute
					return r.Set(ctx, recs)
				},
				"del":  func(ctx context.Context) error { return r.Del(ctx, recordsOf("a")) },
				"mdel": func(ctx context.Context) error { return r.Del(ctx, recordsOf("a", "b", "c")) },
			}
			for op, call := range calls {
				began := time.Now()
				err := call(ctx)
				if took := time.Since(began); took != timeout || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "100ms of WithRemoteTimeout") {
					t.Errorf("%s, %s: %v, after %s", name, op, err, took)
				}
				if failed, _ := log.take(); failed != op {
					t.Errorf("%s, %s: failures of %q are counted", name, op, failed)
				}
				// The caller has less time: that is not the remote's failure.
				brief, cancel := context.WithTimeout(ctx, timeout/2)
				began = time.Now()
				err = call(brief)
				cancel()
				if took := time.Since(began); took != timeout/2 || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "WithRemoteTimeout") {
					t.Errorf("%s, %s, in less time: %v, after %s", name, op, err, took)
				}
				if failed, lines := log.take(); failed != "" || len(lines) > 0 {
					t.Errorf("%s, %s, in less time: failures of %q are counted, the log has %q", name, op, failed, lines)
				}
			}
			if !r.Wait(time.Hour * 2) {
				t.Errorf("%s: the calls do not end", name)
			}
		})
	}
}

func TestATimeoutSilencesTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		m.SetLatency(time.Hour)
		r, _ := newGuarded(m, level.Guards{Timeout: timeout})
		one, many, stored := recordsOf("a"), recordsOf("b", "c"), writesOf("d")
		_ = r.Get(ctx, one, true)
		_ = r.Get(ctx, many, true)
		_ = r.Set(ctx, stored)
		for _, rec := range append(append(one, many...), stored...) {
			if rec.Silent == nil {
				t.Errorf("%s is not silent", rec.Key)
			}
		}
	})
}

func TestACallThatIsLeftBehindTellsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeaf()
		d.Put("k", "v")
		r, _ := newGuarded(d, level.Guards{Timeout: timeout})
		recs := recordsOf("k")
		began := time.Now()
		err := r.Del(ctx, recs)
		ended := level.Abandoned(err)
		if ended == nil || level.Abandoned(recs[0].StoreErr) != ended || recs[0].Stored != record.Failed {
			t.Fatal(err)
		}
		if _, there := d.Peek("k"); !there {
			t.Error("it has taken effect")
		}
		<-ended
		if _, there := d.Peek("k"); there || time.Since(began) != time.Minute {
			t.Errorf("it has ended after %s", time.Since(began))
		}
	})
}

func TestACallThatHeedsItsContextIsNotLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		m.SetLatency(time.Hour)
		r, _ := newGuarded(m, level.Guards{Timeout: timeout})
		if err := r.Del(ctx, recordsOf("k")); err == nil || level.Abandoned(err) != nil {
			t.Error(err)
		}
		if !r.HeedsContext() {
			t.Error("it is not known that the store heeds its ctx")
		}
	})
}

func TestFewCallsAreLeftBehindAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeaf()
		r, log := newGuarded(d, level.Guards{Timeout: time.Millisecond})
		var refused int
		for range 2000 {
			began := time.Now()
			if err := r.Get(ctx, recordsOf("k"), false); err == nil {
				t.Fatal("it answers")
			} else if time.Since(began) == 0 {
				refused++
			}
		}
		if n := d.calls.Load(); n != 1024 || refused != 2000-1024 {
			t.Errorf("%d calls, and %d refused", n, refused)
		}
		if failed, _ := log.take(); strings.Count(failed, "get") != 2000 {
			t.Error("not all are counted")
		}
		r.Wait(time.Hour)
		if _ = r.Get(ctx, recordsOf("k"), false); d.calls.Load() != 1025 {
			t.Error("when they have ended, it is not called again")
		}
		r.Wait(time.Hour)
	})
}

func TestACallAfterTheEndOfItsContextIsNotMade(t *testing.T) {
	d := newDeaf()
	r, _ := newGuarded(d, level.Guards{Timeout: timeout})
	left, leave := context.WithCancel(ctx)
	leave()
	operations(left, r)
	if n := d.calls.Load(); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestWithoutGuardsNothingIsBetween(t *testing.T) {
	m := remotetest.NewMemory()
	r, _ := newRemote(m)
	want := testing.AllocsPerRun(100, func() { _ = r.Get(ctx, recordsOf("k"), true) })
	r.Guard(level.Guards{})
	if got := testing.AllocsPerRun(100, func() { _ = r.Get(ctx, recordsOf("k"), true) }); got != want {
		t.Errorf("%v allocations, want %v", got, want)
	}
	bounded, cancel := r.Bounded(ctx)
	defer cancel()
	if reads, writes := r.State(); bounded != ctx || reads+writes != "" || r.Down() {
		t.Error(reads, writes)
	}
	none, _ := newRemote(nil)
	none.Guard(level.Guards{Timeout: timeout})
	if none.Exists() || none.HeedsContext() {
		t.Error("there is a remote")
	}
}
