package level_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// slowRemote is a remote whose reads take slow, and return err then.
func slowRemote(err error) (*level.Remote, *remotetest.Memory, *log) {
	m := remotetest.NewMemory()
	m.SetFault(func(context.Context, string, ...string) error { time.Sleep(slow); return err })
	r, log := newRemote(m)
	return r, m, log
}

const slow = time.Second

func TestACheckIsAnsweredInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, _ := slowRemote(nil)
		m.Put("a", "v")
		recs := recordsOf("a", "b")
		recs[1].Out = record.Read([]byte("v"), record.Local) // has its result already
		recs[1].Got.Err = errOther
		left, leave := context.WithCancel(ctx)
		leave() // this does not end the read
		c := r.Check(left, recs)
		if !c.Wait(ctx, 2*slow) || c.Err() != nil {
			t.Errorf("it has not ended: %v", c.Err())
		}
		if got := recs[0].Got; !got.There || string(got.Data) != "v" || got.Err != nil || recs[0].Silent != nil {
			t.Errorf("it got %+v", got)
		}
		if recs[1].Got.Err != errOther {
			t.Errorf("a record with a result got %+v", recs[1].Got)
		}
		if c.GiveUp(func([]*record.Record) { t.Error("late") }) {
			t.Error("it is given up when it has ended")
		}
		if one, two := r.Check(ctx, recs), r.Check(ctx, recs); one == nil || two == nil {
			t.Error("only one check may begin")
		}
		r.Wait(time.Minute)
	})
}

func TestACheckThatIsGivenUpKeepsOthersBack(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		answer bool
	}{
		"an answer":           {nil, true},
		"no answer":           {errBoom, false},
		"the server's answer": {reply("LOADING"), true},
		"no answer for a key": {&remote.KeysError{Failed: map[string]error{"b": errBoom}}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, m, _ := slowRemote(test.err)
			m.Put("a", "v")
			recs := recordsOf("a", "b")
			c := r.Check(ctx, recs)
			second := r.Check(ctx, recordsOf("b", "c")) // nothing is known yet
			if c.Wait(ctx, slow/2) {
				t.Error("it has ended early")
			}
			var late []*record.Record
			if !c.GiveUp(func(got []*record.Record) { late = got }) || !second.GiveUp(func([]*record.Record) {}) {
				t.Error("it has ended")
			}
			if r.Check(ctx, recordsOf("d")) != nil {
				t.Error("another check begins beside it")
			}
			m.SetFault(func(context.Context, string, ...string) error { return errBoom })
			_ = r.Get(ctx, recordsOf("x"), true) // does not change this
			if r.Check(ctx, recordsOf("d")) != nil {
				t.Error("another check begins beside it, after an ordinary read")
			}
			time.Sleep(slow)
			synctest.Wait()
			if len(late) != 2 || late[0].Key != "a" || recs[0].Got.There || recs[0].Silent != nil {
				t.Errorf("%s: late came %d records; the caller's are %+v", name, len(late), recs[0])
			}
			m.SetFault(func(context.Context, string, ...string) error { time.Sleep(slow); return nil })
			one, two := r.Check(ctx, recordsOf("d")), r.Check(ctx, recordsOf("e"))
			if one == nil || (two != nil) != test.answer {
				t.Errorf("%s: then one check begins: %v, and another: %v", name, one != nil, two != nil)
			}
			one.GiveUp(func([]*record.Record) {}) // the probe counts once
			ended := one.Wait(ctx, time.Minute)
			if three, four := r.Check(ctx, recs), r.Check(ctx, recs); !ended || three == nil || four == nil {
				t.Errorf("%s: after an answer, checks are held back", name)
			}
			r.Wait(time.Minute)
		})
	}
}

// Ordinary reads tell whether the remote answers, too. Those whose callers have left do not.
func TestOrdinaryReadsTellOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, _ := slowRemote(nil)
		begin := func() (n int) {
			for range 3 {
				if r.Check(ctx, recordsOf("c")) != nil {
					n++
				}
			}
			r.Wait(time.Minute)
			return n
		}
		fails := func(err error) {
			m.SetFault(func(context.Context, string, ...string) error { return err })
			_ = r.Get(ctx, recordsOf("a", "b"), true)
			m.SetFault(func(context.Context, string, ...string) error { time.Sleep(slow); return err })
		}
		if n := begin(); n != 3 {
			t.Errorf("%d checks begin at first", n)
		}
		if fails(errBoom); begin() != 1 {
			t.Error("not one check begins after a failure")
		}
		if begin() != 1 {
			t.Error("not one check begins after a probe that failed")
		}
		if fails(nil); begin() != 3 {
			t.Error("checks are held back after an answer")
		}
		gone, leave := context.WithTimeout(ctx, 0)
		defer leave()
		_ = r.Get(gone, recordsOf("a"), true)
		if begin() != 3 {
			t.Error("checks are held back after a read whose caller has left")
		}
	})
}

func TestACheckEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		m.SetFault(func(ctx context.Context, _ string, _ ...string) error { <-ctx.Done(); return ctx.Err() })
		r, _ := newRemote(m)
		began := time.Now()
		c := r.Check(ctx, recordsOf("a"))
		if !c.Wait(ctx, time.Hour) || !errors.Is(c.Err(), context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("%v, after %s", c.Err(), time.Since(began))
		}
		left, leave := context.WithCancel(ctx)
		c = r.Check(ctx, recordsOf("a"))
		leave()
		if c.Wait(left, time.Hour) {
			t.Error("it has ended")
		}
		r.Wait(time.Minute)
	})
}

// What ends the goroutine of a read is no answer.
func TestACheckThatPanicsHasNoAnswer(t *testing.T) {
	for name, end := range map[string]func(){"a panic": func() { panic("the pieces") }, "Goexit": runtime.Goexit} {
		m := remotetest.NewMemory()
		m.SetFault(func(context.Context, string, ...string) error { end(); return nil })
		r, log := newRemote(m)
		recs := recordsOf("a")
		c := r.Check(ctx, recs)
		if !c.Wait(ctx, time.Hour) || c.Err() == nil || recs[0].Got.Err == nil || recs[0].Silent == nil {
			t.Errorf("%s: %+v, %v", name, recs[0].Got, c.Err())
		}
		var panicked *flight.PanicError
		if errors.As(c.Err(), &panicked) != (name == "a panic") {
			t.Errorf("%s: %v", name, c.Err())
		}
		if failed, _ := log.take(); failed != "get" {
			t.Errorf("%s: counted %q", name, failed)
		}
		r.Wait(time.Hour)
	}
}
