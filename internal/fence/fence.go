// Package fence keeps loaded values out of the remote that are older than a change.
//
// A fence is a key beside each key of the remote. Every change of the key leaves a fresh nonce in it.
// A load notes the nonce before it calls the loader. The remote stores the loaded value only if the
// fence still holds that nonce. So a value that was read from the database before a change cannot be
// stored after it. That holds for loads on all nodes, even if a node was paused or its packets were
// late: fences rely neither on clocks nor on the order of messages.
//
// If a key has no fence, a load gives it one. If the fence is missing when the value is stored, the
// key counts as changed. Otherwise a late value could be stored after the nonce of a change has
// expired.
//
// A Policy is how a cache writes to the remote: Off without fences, On with them. Package repair adds to
// either what becomes of changes that fail.
package fence

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// Policy writes to the remote level of a cache. A method that takes records handles any number of
// them, in one call of the remote. If it stores or removes them, it sets the Stored and the StoreErr
// of each, and returns an error if any of them failed. The methods may be called concurrently.
type Policy interface { //nolint:interfacebloat // the life of a write, from Begin to GiveUp, and each cache takes all of it
	// Begin begins a load of recs: it notes in their Tokens what must not change until the values
	// are stored.
	Begin(ctx context.Context, recs []*record.Record)
	// Fill stores loaded values. The condition of a record counts only if there is no other
	// record.
	Fill(ctx context.Context, recs []*record.Record) error
	// Refuses reports whether Fill would refuse rec without asking the remote.
	Refuses(rec *record.Record) bool
	// Pass sets the Stored of a loaded value that is not sent to the remote, because another write
	// of its key is under way on this node, or has come since the load began.
	Pass(rec *record.Record)
	// Change stores values that replace what is there. It may refuse values that were loaded after
	// Begin: their Stored is record.Refused then.
	Change(ctx context.Context, recs []*record.Record) error
	// Remove removes keys.
	Remove(ctx context.Context, recs []*record.Record) error
	// Close is Remove. After it, no loaded value is stored until Reopen is called with the same
	// token.
	Close(ctx context.Context, token string, recs []*record.Record) error
	// Reopen is Remove, and undoes Close.
	Reopen(ctx context.Context, token string, recs []*record.Record) error
	// GiveUp notes that a change of recs was given up before it was sent, because of err. It may be
	// called while an older change of a key is under way.
	GiveUp(recs []*record.Record, err error)
	// Trusted returns those of recs whose values in the remote may be used. It sets the Got.Err of
	// the others.
	Trusted(recs []*record.Record) []*record.Record
	// Bounded returns ctx with the deadline of a load that starts now.
	Bounded(ctx context.Context) (context.Context, context.CancelFunc)
	// Stop ends the work in the background, and returns after bound at most. It may be called more
	// than once. The other methods still work afterwards.
	Stop(bound time.Duration)
	// State returns what the Policy has done, and what it still has to do.
	State() State
}

// ErrUncertain means that a Set or Delete of this cache failed to change the key in the remote, which
// may have an old value of it. Errors of reads wrap it.
var ErrUncertain = errors.New("cache: an earlier change of the key has not reached the remote")

// ErrUnsent means that a change was not sent to the remote, and so has changed nothing.
var ErrUnsent = errors.New("cache: the fence of the key could not be read before the load, so the value was not stored")

// State is what a Policy has done, and what it still has to do.
type State struct {
	Refused uint64 // loaded values that were not stored because their keys were changed
	Repairs int    // keys whose removal is being tried again
}

// Off is the Policy of a cache without fences.
type Off struct{ Remote *level.Remote }

// Begin does nothing.
func (Off) Begin(context.Context, []*record.Record) {}

// Fill stores loaded values.
func (o Off) Fill(ctx context.Context, recs []*record.Record) error { return o.Remote.Set(ctx, recs) }

// Refuses reports false.
func (Off) Refuses(*record.Record) bool { return false }

// Pass lets the local level keep the value. It does not if the value has a condition: only the remote
// knows whether the condition holds.
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

// Bounded returns ctx: loads have no deadline.
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
}

// New returns the Policy of a cache whose loads take maxLoad at most.
func New(r *level.Remote, maxLoad time.Duration, o *observe.Observer) *On {
	return &On{remote: r, observe: o, maxLoad: maxLoad}
}

// span is the lifetime of a fence, in multiples of the longest load.
const span = 2

func (f *On) ttl() time.Duration { return Lifetime(f.maxLoad) }

// Lifetime returns how long a fence lives if the longest load takes maxLoad.
func Lifetime(maxLoad time.Duration) time.Duration { return span * maxLoad }

// closedNonce is the beginning of the nonce of a closed fence, under which no loaded value is stored.
const closedNonce = "!"

func closed(t record.Token) bool { return strings.HasPrefix(t.Nonce, closedNonce) }

// Begin notes the nonces of recs that have none yet. The call that won their leases may have noted
// others.
func (f *On) Begin(ctx context.Context, recs []*record.Record) {
	began := time.Now()
	opened := func(rec *record.Record) bool { return rec.Token.Nonce != "" }
	if slices.ContainsFunc(recs, opened) {
		recs = slices.DeleteFunc(slices.Clone(recs), opened)
	}
	for _, rec := range recs {
		rec.Token = record.Token{Began: began}
	}
	if len(recs) > 0 {
		f.remote.OpenFences(ctx, f.ttl(), recs)
	}
}

// Fill stores loaded values. It refuses those whose keys were changed since Begin, and those whose
// load took longer than maxLoad.
func (f *On) Fill(ctx context.Context, recs []*record.Record) error {
	send := make([]*record.Record, 0, len(recs))
	var err error
	for _, rec := range recs {
		rec.Stored, rec.StoreErr = record.Failed, nil
		switch {
		case f.Refuses(rec):
			rec.Stored = record.Refused // before the other cases: the local level must not keep it either
		case rec.Token.Nonce == "":
			rec.StoreErr = ErrUnsent
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

// Refuses reports whether the fence of rec was closed when its load began, or the load has taken longer
// than maxLoad.
func (f *On) Refuses(rec *record.Record) bool {
	return closed(rec.Token) || time.Since(rec.Token.Began) > f.maxLoad
}

func (f *On) countRefused(n int) {
	if n > 0 {
		f.refused.Add(uint64(n))
		f.observe.FillsRefused(n)
	}
}

// Pass refuses the value: only the remote knows whether the fence has changed.
func (f *On) Pass(rec *record.Record) {
	rec.Stored = record.Refused
	f.countRefused(1)
}

// Change stores values that replace what is there, and renews their fences, so that the loads which
// are under way store nothing. It refuses a value that was loaded after Begin if another change came
// since then, or if it cannot rule that out.
func (f *On) Change(ctx context.Context, recs []*record.Record) error {
	send := make([]*record.Record, 0, len(recs))
	var err error
	for _, rec := range recs {
		switch t := rec.Token; {
		case t.Began.IsZero(): // the caller gave the value: it is not older than any change
			send = append(send, rec)
		case closed(t), t.Nonce == "" && rec.If == record.Always:
			rec.Stored, rec.StoreErr = record.Refused, nil
		case t.Nonce == "":
			rec.Stored, rec.StoreErr, err = record.Failed, ErrUnsent, ErrUnsent
		default:
			send = append(send, rec)
		}
	}
	return errors.Join(err, f.remote.SetFenced(ctx, f.ttl(), send, true))
}

// Remove removes keys and renews their fences.
func (f *On) Remove(ctx context.Context, recs []*record.Record) error {
	if len(recs) == 0 {
		return nil
	}
	return f.remote.DelFenced(ctx, f.ttl(), recs)
}

// Close removes keys and closes their fences.
func (f *On) Close(ctx context.Context, token string, recs []*record.Record) error {
	return f.remote.CloseFences(ctx, f.ttl(), token, recs)
}

// Reopen removes keys and opens their fences.
func (f *On) Reopen(ctx context.Context, token string, recs []*record.Record) error {
	if len(recs) == 0 {
		return nil
	}
	return f.remote.ReopenFences(ctx, f.ttl(), token, recs)
}

// GiveUp does nothing.
func (*On) GiveUp([]*record.Record, error) {}

// Trusted returns recs.
func (*On) Trusted(recs []*record.Record) []*record.Record { return recs }

// Bounded returns ctx with a deadline after the longest load.
func (f *On) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, f.maxLoad)
}

// Stop does nothing.
func (*On) Stop(time.Duration) {}

// State returns the number of refused values.
func (f *On) State() State { return State{Refused: f.refused.Load()} }

var _, _ Policy = Off{}, (*On)(nil)
