package level_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// reply is an error that a server has replied.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// silentOf returns the Silent of each of recs.
func silentOf(recs []*record.Record) string {
	var all []error
	for _, rec := range recs {
		all = append(all, rec.Silent)
	}
	return fmt.Sprint(all)
}

// callsOfKeys are the calls that belong to a load, for any number of records.
var callsOfKeys = map[string]func(r *level.Remote, recs []*record.Record){
	"Get":        func(r *level.Remote, recs []*record.Record) { _ = r.Get(ctx, recs, true) },
	"OpenFences": func(r *level.Remote, recs []*record.Record) { r.OpenFences(ctx, time.Minute, recs) },
	"Set":        func(r *level.Remote, recs []*record.Record) { _ = r.Set(ctx, recs) },
	"SetFenced":  func(r *level.Remote, recs []*record.Record) { _ = r.SetFenced(ctx, time.Minute, recs, false) },
	"AcquireLeases": func(r *level.Remote, recs []*record.Record) {
		asks := make([]remote.LeaseAsk, len(recs))
		for i, rec := range recs {
			asks[i] = remote.LeaseAsk{Key: rec.Key, Token: "t"}
		}
		r.AcquireLeases(ctx, time.Minute, recs, asks)
	},
}

func TestARecordRemembersThatTheRemoteWasSilent(t *testing.T) {
	for name, call := range callsOfKeys {
		for what, test := range map[string]struct {
			err  error
			one  string
			both string
		}{
			"no error":            {nil, "[<nil>]", "[<nil> <nil>]"},
			"no answer":           {errBoom, "[boom]", "[boom boom]"},
			"the server's answer": {reply("NOPERM"), "[<nil>]", "[<nil> <nil>]"},
			"no answer for one": {
				&remote.KeysError{Failed: map[string]error{"b": errBoom}}, "", "[<nil> boom]",
			},
			"an answer for one": {
				&remote.KeysError{Failed: map[string]error{"a": reply("WRONGTYPE"), "b": errBoom}}, "", "[<nil> boom]",
			},
		} {
			m := remotetest.NewMemory()
			m.SetFault(func(context.Context, string, ...string) error { return test.err })
			r, _ := newRemote(m)
			if one := writesOf("a"); test.one != "" {
				if call(r, one); silentOf(one) != test.one {
					t.Errorf("%s, %s: %s", name, what, silentOf(one))
				}
			}
			both := writesOf("a", "b")
			if call(r, both); silentOf(both) != test.both {
				t.Errorf("%s, %s: %s, want %s", name, what, silentOf(both), test.both)
			}
		}
	}
}

// AcquireLeases ends with its ctx, whatever the store does, and Wait waits for the call of the store.
func TestLeasesAreNotWaitedForBeyondTheEndOfTheCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		m.SetFault(func(context.Context, string, ...string) error { time.Sleep(time.Minute); return nil })
		r, log := newRemote(m)
		if !r.Wait(0) {
			t.Error("a call is running")
		}
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		began := time.Now()
		recs := recordsOf("k")
		answers := r.AcquireLeases(brief, time.Minute, recs, []remote.LeaseAsk{{Key: "k", Token: "t"}})
		if took := time.Since(began); took != time.Second || len(answers) != 1 || answers[0].State != remote.LeaseUnknown {
			t.Errorf("%v, after %s", answers, took)
		}
		if !errors.Is(recs[0].Silent, context.DeadlineExceeded) {
			t.Errorf("the record is silent: %v", recs[0].Silent)
		}
		if failed, _ := log.take(); failed != "lease" {
			t.Errorf("counted %q", failed)
		}
		if r.Wait(time.Second) || time.Since(began) != 2*time.Second {
			t.Errorf("Wait ends after %s", time.Since(began))
		}
		waited := make(chan bool)
		go func() { waited <- r.Wait(time.Hour) }()
		if !r.Wait(time.Hour) || !<-waited || time.Since(began) != time.Minute {
			t.Errorf("then it ends after %s", time.Since(began))
		}
		if failed, _ := log.take(); failed != "" {
			t.Errorf("then counted %q", failed)
		}
	})
}

func TestAPanicOfAStoreInAnotherGoroutineIsAnError(t *testing.T) {
	m := remotetest.NewMemory()
	m.SetFault(func(context.Context, string, ...string) error { panic("the pieces") })
	r, _ := newRemote(m)
	recs := recordsOf("k")
	r.AcquireLeases(ctx, time.Minute, recs, []remote.LeaseAsk{{Key: "k", Token: "t"}})
	var panicked *flight.PanicError
	if err := recs[0].Silent; !errors.As(err, &panicked) || err.Error() != "cache: the remote panicked: the pieces" {
		t.Errorf("%v", err)
	}
}
