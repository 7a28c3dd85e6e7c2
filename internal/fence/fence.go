// Package fence keeps out of the remote what is older than a change.
//
// A fence is a key beside each key of the remote, in which every change of the key leaves a
// fresh nonce. A load notes the nonce before it calls the loader, and the remote stores what was
// loaded only if the nonce is still there. So a value that was read from the database before a
// change cannot be stored after it, on whatever node it was loaded, however long that node was
// paused or its packets were under way. No clock and no order of messages is trusted.
//
// A load puts a nonce where there is none, and a missing fence counts as changed. Otherwise a
// value that arrives after the nonce of the change has expired would find the fence as it was.
//
// A Policy is how a cache writes to the remote: Off without fences, On with them.
package fence

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// Policy writes to the remote level of a cache that has one. Each method takes any number of
// records and handles them in one call of the remote; it sets the Stored and the StoreErr of
// each, and returns what went wrong, of any record. Methods may be called from any goroutine.
type Policy interface { //nolint:interfacebloat // the life of a write, from Begin to GiveUp, and each cache takes all of it
	// Begin notes what must still be so when the values of recs, which are about to be loaded,
	// are stored.
	Begin(ctx context.Context, recs []*record.Record)
	// Fill stores what was loaded. A condition is heeded if there is one record.
	Fill(ctx context.Context, recs []*record.Record) error
	// Pass says what becomes of a loaded value that cannot be sent to the remote because
	// another write of its key is under way on this node, or has been.
	Pass(rec *record.Record)
	// Change stores values that replace what is there. Of a value that was loaded after Begin,
	// it also says record.Refused.
	Change(ctx context.Context, recs []*record.Record) error
	// Remove removes keys.
	Remove(ctx context.Context, recs []*record.Record) error
	// Close is Remove, after which nothing is stored that is loaded, until Reopen with the same
	// token.
	Close(ctx context.Context, token string, recs []*record.Record) error
	// Reopen is Remove, and ends what Close did.
	Reopen(ctx context.Context, token string, recs []*record.Record) error
	// GiveUp notes that a change of recs was given up before it was sent, because of err.
	GiveUp(recs []*record.Record, err error)
	// Trusted returns those of recs that the remote may be asked for. It sets the Got.Err of
	// the others.
	Trusted(recs []*record.Record) []*record.Record
	// Bounded returns ctx with the deadline of a load, which starts now.
	Bounded(ctx context.Context) (context.Context, context.CancelFunc)
	// Stop ends what runs in the background, within bound.
	Stop(bound time.Duration)
	// State returns what an operator wants to know.
	State() State
}

// State is what a Policy has done, and has to do.
type State struct {
	Refused uint64 // loaded values that were not stored because their keys were changed
	Repairs int    // keys whose removal is being tried again
}

// Off is the Policy of a cache without fences.
type Off struct{ Remote *level.Remote }

// Begin does nothing.
func (Off) Begin(context.Context, []*record.Record) {}

// Fill stores what was loaded.
func (o Off) Fill(ctx context.Context, recs []*record.Record) error { return o.Remote.Set(ctx, recs) }

// Pass has the value kept in the local level, unless only the remote could say whether its
// condition holds.
func (Off) Pass(rec *record.Record) {
	rec.Stored = record.Failed
	if rec.If != record.Always {
		rec.Stored = record.NotDue
	}
}

// Change stores values that replace what is there.
func (o Off) Change(ctx context.Context, recs []*record.Record) error { return o.Remote.Set(ctx, recs) }

// Remove removes keys.
func (o Off) Remove(ctx context.Context, recs []*record.Record) error { return o.Remote.Del(ctx, recs) }

// Close removes keys.
func (o Off) Close(ctx context.Context, _ string, recs []*record.Record) error {
	return o.Remote.Del(ctx, recs)
}

// Reopen removes keys.
func (o Off) Reopen(ctx context.Context, _ string, recs []*record.Record) error {
	return o.Remote.Del(ctx, recs)
}

// GiveUp does nothing.
func (Off) GiveUp([]*record.Record, error) {}

// Trusted returns recs.
func (Off) Trusted(recs []*record.Record) []*record.Record { return recs }

// Bounded returns ctx: a load may take as long as it likes.
func (Off) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

// Stop does nothing.
func (Off) Stop(time.Duration) {}

// State returns the zero State.
func (Off) State() State { return State{} }

// On is the Policy of a cache with fences. Make one with New.
type On struct {
	remote  *level.Remote
	observe *observe.Observer
	maxLoad time.Duration
	refused atomic.Uint64
	repairs *repairs
}

// New returns the Policy of a cache whose loads take maxLoad at most. What a change fails to do in
// the remote is done in the background; repaired is told of the keys then.
func New(r *level.Remote, maxLoad time.Duration, o *observe.Observer, repaired func(keys []string)) *On {
	f := &On{remote: r, observe: o, maxLoad: maxLoad}
	f.repairs = newRepairs(o, func(ctx context.Context, recs []*record.Record) error {
		return r.DelFenced(ctx, f.ttl(), recs)
	}, repaired)
	return f
}

// span is how many times as long as the longest load a fence lives.
const span = 2

func (f *On) ttl() time.Duration { return span * f.maxLoad }

// closedNonce is how the nonce of a closed fence begins, which lets nothing through.
const closedNonce = "!"

func closed(t record.Token) bool { return strings.HasPrefix(t.Nonce, closedNonce) }

var errNoFence = errors.New("cache: the fence of the key could not be read before the load, so the value was not stored")

// Begin notes the nonces of recs.
func (f *On) Begin(ctx context.Context, recs []*record.Record) {
	began := time.Now()
	for _, rec := range recs {
		rec.Token = record.Token{Began: began}
	}
	f.remote.OpenFences(ctx, f.ttl(), recs)
}

// Fill stores what was loaded, unless its key has been changed since Begin.
func (f *On) Fill(ctx context.Context, recs []*record.Record) error {
	send := make([]*record.Record, 0, len(recs))
	var err error
	for _, rec := range recs {
		rec.Stored, rec.StoreErr = record.Failed, nil
		distrust := f.repairs.distrusts(rec.Key)
		switch {
		case closed(rec.Token), time.Since(rec.Token.Began) > f.maxLoad:
			rec.Stored = record.Refused // also in the local level, whatever else is wrong
		case distrust != nil:
			rec.StoreErr = distrust
		case rec.Token.Nonce == "":
			rec.StoreErr = errNoFence
		default:
			send = append(send, rec)
			continue
		}
		if rec.StoreErr != nil {
			err = rec.StoreErr
		}
	}
	if failed := f.remote.SetFenced(ctx, f.ttl(), send, false); failed != nil {
		err = errors.Join(err, failed)
	}
	refused := 0
	for _, rec := range recs {
		if rec.Stored == record.Refused {
			refused++
		}
	}
	f.countRefused(refused)
	return err
}

func (f *On) countRefused(n int) {
	if n > 0 {
		f.refused.Add(uint64(n))
		f.observe.FillsRefused(n)
	}
}

// Pass refuses the value: only the remote could say what the fence says.
func (f *On) Pass(rec *record.Record) {
	rec.Stored = record.Refused
	f.countRefused(1)
}

// Change stores values that replace what is there, and makes void what others are loading. A
// value that was loaded after Begin is refused if another change came first, or if that cannot
// be ruled out.
func (f *On) Change(ctx context.Context, recs []*record.Record) error {
	send := make([]*record.Record, 0, len(recs))
	var err error
	for _, rec := range recs {
		rec.StoreErr = nil
		switch t := rec.Token; {
		case t.Began.IsZero(): // the value was given: it counts
			send = append(send, rec)
		case closed(t), t.Nonce == "" && rec.If == record.Always:
			rec.Stored = record.Refused
		case t.Nonce == "":
			rec.Stored, rec.StoreErr, err = record.Failed, errNoFence, errNoFence
		default:
			send = append(send, rec)
		}
	}
	if failed := f.remote.SetFenced(ctx, f.ttl(), send, true); failed != nil {
		err = errors.Join(err, failed)
	}
	for _, rec := range send {
		switch {
		case rec.StoreErr != nil:
			f.repairs.add([]*record.Record{rec}, rec.StoreErr)
		case rec.Stored == record.Stored:
			f.repairs.settle(rec.Key)
		}
	}
	return err
}

// Remove removes keys and renews their fences. What fails is tried again in the background.
func (f *On) Remove(ctx context.Context, recs []*record.Record) error {
	return f.settleOrRepair(recs, f.remote.DelFenced(ctx, f.ttl(), recs))
}

// Close removes keys and closes their fences.
func (f *On) Close(ctx context.Context, token string, recs []*record.Record) error {
	return f.remote.CloseFences(ctx, f.ttl(), token, recs)
}

// Reopen removes keys and opens their fences.
func (f *On) Reopen(ctx context.Context, token string, recs []*record.Record) error {
	return f.settleOrRepair(recs, f.remote.ReopenFences(ctx, f.ttl(), token, recs))
}

func (f *On) settleOrRepair(recs []*record.Record, err error) error {
	var failed []*record.Record
	for _, rec := range recs {
		if rec.StoreErr != nil {
			failed = append(failed, rec)
		} else {
			f.repairs.settle(rec.Key)
		}
	}
	f.repairs.add(failed, err)
	return err
}

// GiveUp has recs removed in the background.
func (f *On) GiveUp(recs []*record.Record, err error) { f.repairs.add(recs, err) }

// Trusted returns those of recs of which the remote has nothing that should be gone.
func (f *On) Trusted(recs []*record.Record) []*record.Record {
	if !f.repairs.any() {
		return recs
	}
	trusted := make([]*record.Record, 0, len(recs))
	for _, rec := range recs {
		if err := f.repairs.distrusts(rec.Key); err != nil {
			rec.Got = record.Got{Err: err}
		} else {
			trusted = append(trusted, rec)
		}
	}
	return trusted
}

// Bounded returns ctx with a deadline after the longest load.
func (f *On) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, f.maxLoad)
}

// Stop tries once more to remove what waits, for bound at most, and takes on nothing new.
func (f *On) Stop(bound time.Duration) { f.repairs.close(bound) }

// State returns the counts of what was refused and of what waits.
func (f *On) State() State { return State{Refused: f.refused.Load(), Repairs: f.repairs.size()} }

var _, _ Policy = Off{}, (*On)(nil)
