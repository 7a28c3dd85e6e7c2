package level_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// settings trip after two of four calls.
var settings = level.Breaker{FailureRatio: 0.5, MinCalls: 4, Window: 10 * time.Second, OpenFor: 5 * time.Second}

// reopens is a time after which a breaker with settings tries again, whatever its jitter.
const reopens = 5500*time.Millisecond + 1

// newGuarded is newRemote with guards.
func newGuarded(store remote.Remote, g level.Guards) (*level.Remote, *log) {
	r, l := newRemote(store)
	r.Guard(g)
	return r, l
}

// keysError is the error of a batch, some of whose keys failed.
func keysError(errs ...error) error {
	failed := make(map[string]error)
	for i, err := range errs {
		failed[fmt.Sprint("k", i)] = err
	}
	return &remote.KeysError{Op: "test", Failed: failed}
}

func TestWhatCountsAsAFailure(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: &net.AddrError{Err: syscall.ECONNREFUSED.Error()}}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{refused, true},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		{io.EOF, true},
		{io.ErrUnexpectedEOF, true},
		{fmt.Errorf("reading: %w", io.EOF), true},
		{context.DeadlineExceeded, true}, // of the client's own
		{redis.ErrPoolTimeout, true},
		{redis.ErrPoolExhausted, true},
		{errBoom, true}, // no reply
		{reply("LOADING Redis is loading the dataset in memory"), true},
		{reply("READONLY You can't write against a read only replica."), true},
		{reply("ERR Error running script: @user_script: 1: -READONLY You can't write against a read only replica."), true},
		{reply("MASTERDOWN Link with MASTER is down"), true},
		{reply("CLUSTERDOWN The cluster is down"), true},
		{reply("TRYAGAIN Multiple keys request during rehashing of slot"), true},
		{reply("ERR max number of clients reached"), true},
		{fmt.Errorf("more text: %w", reply("LOADING")), false}, // not the reply of a server that loads
		{fmt.Errorf("more text: %w", reply("LOADING data")), true},
		{keysError(reply("WRONGTYPE"), io.EOF), true},
		{keysError(reply("WRONGTYPE"), reply("READONLY You can't write")), true},
		{errors.Join(keysError(reply("WRONGTYPE")), keysError(reply("LOADING data"))), true},

		{remotetest.ErrNil, false},
		{fmt.Errorf("get: %w", remotetest.ErrNil), false},
		{reply("WRONGTYPE Operation against a key holding the wrong kind of value"), false},
		{reply("OOM command not allowed when used memory > 'maxmemory'."), false},
		{reply("NOSCRIPT No matching script. Please use EVAL."), false},
		{reply("NOAUTH Authentication required."), false},
		{keysError(reply("WRONGTYPE"), reply("OOM")), false},
		{keysError(remote.ErrNoSibling), false},
		{keysError(remote.ErrFenceLost), false},
		{fmt.Errorf("%w: %w", remote.ErrUnsupported, reply("ERR unknown command")), false},
	} {
		for side, call := range map[string]func(r *level.Remote){
			"reads":  func(r *level.Remote) { _ = r.Get(ctx, recordsOf("k0", "k1"), true) },
			"writes": func(r *level.Remote) { _ = r.Del(ctx, recordsOf("k0", "k1")) },
		} {
			m := remotetest.NewMemory()
			r, _ := newGuarded(m, level.Guards{Breaker: &settings})
			m.SetFault(func(context.Context, string, ...string) error { return test.err })
			for range settings.MinCalls {
				call(r)
			}
			reads, writes := r.State()
			state := map[string]string{"reads": reads, "writes": writes}
			if got := state[side] == "open"; got != test.want {
				t.Errorf("%v: %s are open: %t", test.err, side, got)
			}
			delete(state, side)
			for other, is := range state {
				if is != "closed" {
					t.Errorf("%v of %s: the breaker of %s is %s", test.err, side, other, is)
				}
			}
		}
	}
}

// fail makes n reads fail.
func fail(r *level.Remote, m *remotetest.Memory, n int) {
	m.SetFault(func(context.Context, string, ...string) error { return errBoom })
	for range n {
		_ = r.Get(ctx, recordsOf("k"), true)
	}
	m.SetFault(nil)
}

func TestWhileABreakerIsOpenNoCallIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		m.Put("k", "v")
		r, log := newGuarded(m, level.Guards{Breaker: &settings})
		fail(r, m, 3)
		if err := r.Get(ctx, recordsOf("k"), true); err != nil {
			t.Errorf("before it opens: %v", err)
		}
		fail(r, m, 1)
		if failed, lines := log.take(); failed != "get get get get" || len(lines) != 2 || !strings.Contains(lines[1], "reads has opened") || !strings.Contains(lines[1], "boom") {
			t.Errorf("counted %q, the log has %q", failed, lines)
		}
		for range 100 {
			recs := recordsOf("k")
			err := r.Get(ctx, recs, true)
			if !errors.Is(err, level.ErrUnavailable) || !errors.Is(recs[0].Silent, level.ErrUnavailable) || !errors.Is(recs[0].Got.Err, level.ErrUnavailable) {
				t.Fatalf("%v, %+v", err, recs[0])
			}
		}
		if n := m.Calls("get"); n != 5 || !r.Down() {
			t.Errorf("%d calls, down: %t", n, r.Down())
		}
		if err := r.Set(ctx, writesOf("w")); err != nil {
			t.Errorf("the other side: %v", err)
		}
		time.Sleep(settings.OpenFor - 1)
		if err := r.Get(ctx, recordsOf("k"), true); !errors.Is(err, level.ErrUnavailable) {
			t.Errorf("before its time: %v", err)
		}
		time.Sleep(reopens - settings.OpenFor)
		recs := recordsOf("k")
		if err := r.Get(ctx, recs, true); err != nil || answers(recs) != "k=v" || r.Down() {
			t.Errorf("the probe: %s, %v", answers(recs), err)
		}
		if failed, lines := log.take(); failed != "" || len(lines) != 1 || !strings.Contains(lines[0], "reads has closed after") {
			t.Errorf("counted %q, the log has %q", failed, lines)
		}
	})
}

func TestAProbeThatFailsOpensItAgainWithoutALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		r, log := newGuarded(m, level.Guards{Breaker: &settings})
		fail(r, m, 4)
		log.take()
		for range 5 {
			time.Sleep(reopens)
			calls := m.Calls("get")
			fail(r, m, 10)
			if n := m.Calls("get") - calls; n != 1 {
				t.Errorf("%d probes", n)
			}
		}
		if _, lines := log.take(); len(lines) > 3 || strings.Contains(fmt.Sprint(lines), "breaker") { // those of the failures, at a bounded rate
			t.Errorf("the log has %q", lines)
		}
	})
}

func TestOnlyTheCallsOfTheWindowCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		r, _ := newGuarded(m, level.Guards{Breaker: &settings})
		for range 20 {
			fail(r, m, 1)
			time.Sleep(settings.Window * 2 / 5)
		}
		if r.Down() {
			t.Error("four calls of 12 seconds have opened it")
		}
		fail(r, m, 2)
		if !r.Down() {
			t.Error("it is not open")
		}
	})
}

// held has calls of a Memory wait until release is called.
func held(m *remotetest.Memory, err error) (release func()) {
	over := make(chan struct{})
	m.SetFault(func(ctx context.Context, _ string, _ ...string) error {
		select {
		case <-over:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return func() { close(over) }
}

func TestASuccessThatBeganBeforeTheTripClosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		r, _ := newGuarded(m, level.Guards{Breaker: &settings})
		release := held(m, nil)
		early := make(chan error)
		go func() { early <- r.Get(ctx, recordsOf("k"), true) }()
		synctest.Wait()
		fail(r, m, 4)
		time.Sleep(reopens) // half-open: a success of the probe would close it
		if reads, _ := r.State(); reads != "half-open" {
			t.Fatal(reads)
		}
		release()
		if err := <-early; err != nil {
			t.Error(err)
		}
		if reads, _ := r.State(); reads != "half-open" {
			t.Errorf("a success from before the trip made it %s", reads)
		}
	})
}

func TestACancelledProbeLetsAnotherFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		r, _ := newGuarded(m, level.Guards{Breaker: &settings})
		fail(r, m, 4)
		time.Sleep(reopens)
		release := held(m, nil)
		leaving, leave := context.WithCancel(ctx)
		probe := make(chan error)
		go func() { probe <- r.Get(leaving, recordsOf("k"), true) }()
		synctest.Wait()
		if err := r.Get(ctx, recordsOf("k"), true); !errors.Is(err, level.ErrUnavailable) || !r.Down() {
			t.Errorf("beside the probe: %v", err)
		}
		leave()
		if err := <-probe; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		release()
		if err := r.Get(ctx, recordsOf("k"), true); err != nil || r.Down() {
			t.Errorf("the next probe: %v", err)
		}
	})
}

func TestACallersCancelCountsAsNeither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		m.SetLatency(time.Minute)
		r, _ := newGuarded(m, level.Guards{Timeout: time.Second, Breaker: &settings})
		for range 20 {
			brief, cancel := context.WithTimeout(ctx, time.Millisecond)
			_ = r.Get(brief, recordsOf("k"), true)
			_ = r.Del(brief, recordsOf("a", "b"))
			cancel()
		}
		if reads, writes := r.State(); reads != "closed" || writes != "closed" {
			t.Errorf("%s, %s", reads, writes)
		}
	})
}

// The two sides have the calls that they should.
func TestSides(t *testing.T) {
	for name, call := range map[string]func(r *level.Remote) error{
		"leases": func(r *level.Remote) error {
			recs := recordsOf("a")
			_ = r.AcquireLeases(ctx, time.Second, recs, []remote.LeaseAsk{{Key: "a", Token: "t"}})
			return recs[0].Silent
		},
		"fences": func(r *level.Remote) error {
			recs := recordsOf("a")
			r.OpenFences(ctx, time.Second, recs)
			return recs[0].Silent
		},
		"locks":       func(r *level.Remote) error { _, err := r.Lock(ctx, "l", "s", time.Second); return err },
		"set":         func(r *level.Remote) error { return r.Set(ctx, writesOf("a")) },
		"set, many":   func(r *level.Remote) error { return r.Set(ctx, writesOf("a", "b")) },
		"del":         func(r *level.Remote) error { return r.Del(ctx, recordsOf("a")) },
		"del, many":   func(r *level.Remote) error { return r.Del(ctx, recordsOf("a", "b")) },
		"set, fenced": func(r *level.Remote) error { return r.SetFenced(ctx, time.Second, writesOf("a"), true) },
		"del, fenced": func(r *level.Remote) error { return r.DelFenced(ctx, time.Second, recordsOf("a")) },
		"close":       func(r *level.Remote) error { return r.CloseFences(ctx, time.Second, "t", recordsOf("a")) },
		"reopen":      func(r *level.Remote) error { return r.ReopenFences(ctx, time.Second, "t", recordsOf("a")) },
	} {
		m := remotetest.NewMemory()
		r, log := newGuarded(m, level.Guards{Breaker: &settings})
		m.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "del" {
				return errBoom
			}
			return nil
		})
		for range settings.MinCalls {
			_ = r.Del(ctx, recordsOf("a"))
		}
		log.take()
		m.SetFault(func(_ context.Context, op string, _ ...string) error { t.Errorf("%s: calls %s", name, op); return nil })
		if err := call(r); !errors.Is(err, level.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if failed, lines := log.take(); failed != "" || len(lines) != 0 {
			t.Errorf("%s: counted %q, the log has %q", name, failed, lines)
		}
	}
}

type panicking struct{ *remotetest.Memory }

func (panicking) Del(context.Context, string) (int64, error) { panic("the pieces") }

func TestAPanicIsAFailure(t *testing.T) {
	r, _ := newGuarded(panicking{remotetest.NewMemory()}, level.Guards{Breaker: &settings})
	for range settings.MinCalls {
		func() {
			defer func() {
				if p := recover(); p != "the pieces" {
					t.Errorf("the caller gets %v", p)
				}
			}()
			_ = r.Del(ctx, recordsOf("k"))
		}()
	}
	if _, writes := r.State(); writes != "open" {
		t.Error(writes)
	}
}
