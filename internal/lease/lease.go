// Package lease makes one node of the fleet load a key that several nodes miss.
//
// A node that does not get the lease waits and asks again. The answer is then that the value is
// there, that the holder's load has failed, that another node still loads, or that the lease is
// free. A lease saves loads and nothing else: a node that has waited for as long as a lease
// lives loads without one, and package fence says what may be stored.
package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// ErrElsewhere is wrapped by the errors of reads that waited for the load of another node, which
// failed. The text of that node's error is in it.
var ErrElsewhere = errors.New("cache: the load on another node failed")

// Steps are what a Policy decides about.
type Steps interface {
	// Load loads recs on this node. It sets the Err of those that failed.
	Load(ctx context.Context, recs []*record.Record)
	// Read reads recs from the remote, where another node has just stored them. It returns
	// those that it could not read.
	Read(ctx context.Context, recs []*record.Record) (rest []*record.Record)
	// Fail ends a record with an error.
	Fail(rec *record.Record, err error)
}

// Policy decides which node loads. Its methods may be called from any goroutine.
type Policy interface {
	// Lead ends each of recs by one of steps. It returns when all have ended.
	Lead(ctx context.Context, recs []*record.Record, steps Steps)
	// Wake wakes the calls of Lead that wait for keys.
	Wake(keys []string)
}

// Off is the Policy of a cache without leases: each node loads what it misses.
type Off struct{}

// Lead loads recs.
func (Off) Lead(ctx context.Context, recs []*record.Record, steps Steps) { steps.Load(ctx, recs) }

// Wake does nothing.
func (Off) Wake([]string) {}

// On is the Policy of a cache with leases. Make one with New.
type On struct {
	remote *level.Remote
	ttl    time.Duration
	tell   func(ctx context.Context, keys []string)
	token  func() string
	waiters
}

// New returns the Policy of a cache whose leases live for ttl. tell tells other nodes that wait
// of keys that need not be waited for any more; they also find out by themselves. token returns a
// random text without ":", a different one each time.
func New(r *level.Remote, ttl time.Duration, token func() string, tell func(ctx context.Context, keys []string)) *On {
	return &On{remote: r, ttl: ttl, tell: tell, token: token}
}

const (
	// The pauses between two looks at a lease that another node holds.
	firstPause = 5 * time.Millisecond
	lastPause  = 100 * time.Millisecond
	// failureTime bounds how long the failure of a load is kept for the nodes that wait for it.
	failureTime = time.Second
	// releaseTimeout bounds how long a lease is being given back.
	releaseTimeout = 5 * time.Second
)

// attempt is the attempt of one call to lead the loads of its keys.
type attempt struct {
	*On
	token string
	end   time.Time // when it loads without a lease
	pause time.Duration

	holders map[string]string // by key: the token of the attempt that is waited for
}

// Lead loads the records whose leases this node gets, and at last those for which it has waited
// in vain. It reads what other nodes have stored meanwhile.
func (l *On) Lead(ctx context.Context, recs []*record.Record, steps Steps) {
	a := &attempt{On: l, token: l.token(), end: time.Now().Add(l.ttl), pause: firstPause}
	var woken <-chan struct{}
	for {
		lead, leased, wait := a.divide(ctx, recs, steps)
		if len(lead) > 0 {
			a.load(ctx, lead, leased, steps)
		}
		if recs = wait; len(recs) == 0 {
			return
		}
		if woken == nil {
			var stop func()
			woken, stop = l.await(record.Keys(recs))
			defer stop() //nolint:revive // this place is reached once
			continue     // they may have been stored in between
		}
		if err := a.wait(ctx, woken); err != nil {
			for _, rec := range recs {
				steps.Fail(rec, err)
			}
			return
		}
	}
}

// load loads lead, and gives back the leases of leased in any case: also if a store panics, or the
// loader ends its goroutine. Then another node may load.
func (a *attempt) load(ctx context.Context, lead, leased []*record.Record, steps Steps) {
	defer a.release(ctx, leased)
	steps.Load(ctx, lead)
}

// divide divides recs into those that this node is to load, some of which it has the lease of,
// and those that another is loading. It ends the others.
func (a *attempt) divide(ctx context.Context, recs []*record.Record, steps Steps) (lead, leased, wait []*record.Record) {
	var there []*record.Record
	for i, answer := range a.ask(ctx, recs) {
		switch rec := recs[i]; answer.State {
		case remote.LeaseStored:
			if rec.Reload { // what is there cannot be decoded
				lead = append(lead, rec)
			} else {
				there = append(there, rec)
			}
		case remote.LeaseFailed:
			steps.Fail(rec, fmt.Errorf("%w: %s: %s", ErrElsewhere, quote.Key(rec.Key), quote.Line(answer.Failure)))
		case remote.LeaseWon:
			lead, leased = append(lead, rec), append(leased, rec)
		default:
			wait = append(wait, rec)
		}
	}
	if len(there) > 0 {
		lead = append(lead, steps.Read(ctx, there)...)
	}
	return lead, leased, wait
}

// ask tries to get the leases of recs. A record without an answer is loaded as if its lease had
// been won.
func (a *attempt) ask(ctx context.Context, recs []*record.Record) []remote.LeaseAnswer {
	asks := make([]remote.LeaseAsk, len(recs))
	for i, rec := range recs {
		asks[i] = remote.LeaseAsk{Key: rec.Key, Token: a.token, Awaited: a.holders[rec.Key]}
	}
	answers := a.remote.AcquireLeases(ctx, a.ttl, asks)
	over := !time.Now().Before(a.end)
	for i := range answers {
		switch answer := &answers[i]; {
		case answer.State == remote.LeaseUnknown, answer.State == remote.LeaseHeld && over:
			*answer = remote.LeaseAnswer{State: remote.LeaseWon}
		case answer.State == remote.LeaseHeld:
			if a.holders == nil {
				a.holders = make(map[string]string)
			}
			a.holders[recs[i].Key] = answer.Holder
		}
	}
	return answers
}

// wait waits until it is time to ask again. It returns ctx's error if ctx ends first.
func (a *attempt) wait(ctx context.Context, woken <-chan struct{}) error {
	spread := time.Duration(rand.Int64N(int64(a.pause)/2 + 1)) // nodes that began together do not ask together
	timer := time.NewTimer(min(a.pause/2+spread, max(0, time.Until(a.end))))
	defer timer.Stop()
	a.pause = min(a.pause*3/2, lastPause)
	select {
	case <-timer.C:
		return nil
	case <-woken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives back the leases of recs. A record that failed leaves its error for the nodes that
// wait.
func (a *attempt) release(ctx context.Context, recs []*record.Record) {
	if len(recs) == 0 {
		return
	}
	ends := make([]remote.LeaseEnd, len(recs))
	for i, rec := range recs {
		ends[i] = remote.LeaseEnd{Key: rec.Key, Token: a.token, Failure: failureOf(rec)}
	}
	// The callers may have left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	var tell []string
	for i, wanted := range a.remote.ReleaseLeases(ctx, min(a.ttl, failureTime), ends) {
		if wanted {
			tell = append(tell, recs[i].Key)
		}
	}
	if len(tell) > 0 {
		a.tell(ctx, tell)
	}
}

// failureOf returns what the nodes that wait for rec are told: nothing if it was loaded, and
// nothing if a context ended, so that another node loads.
func failureOf(rec *record.Record) string {
	switch {
	case rec.Err == nil, rec.Out.Kind != record.Miss:
		return ""
	case errors.Is(rec.Err, context.Canceled), errors.Is(rec.Err, context.DeadlineExceeded):
		return ""
	}
	return quote.Line(rec.Err.Error())
}

var _, _ Policy = Off{}, (*On)(nil)
