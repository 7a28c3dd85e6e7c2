// Package lease lets one node of the fleet load a key that several nodes miss.
//
// A node that does not get the lease of a key waits, and asks again. The answer is one of these: the
// value is there, the load of the holder has failed, the holder has loaded but could not store the
// value, another node still loads, or the lease is free. A lease saves loads, and does nothing else: a
// node that has waited for as long as a lease lives loads without one. Package fence decides what may
// be stored.
package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// ErrElsewhere means that a read waited for the load of another node, and that this load failed.
// Errors of reads wrap it. Their texts contain the beginning of that node's error.
var ErrElsewhere = errors.New("cache: the load on another node failed")

// Steps end the records of a call. A Policy decides which of them ends a record.
type Steps interface {
	// Load loads recs on this node, and ends them. It sets the Err of those that failed.
	Load(ctx context.Context, recs []*record.Record)
	// Read reads recs from the remote, where another node has just stored them, and ends them. It
	// returns those that it could not read, which it does not end.
	Read(ctx context.Context, recs []*record.Record) (rest []*record.Record)
	// Fail ends a record with an error.
	Fail(rec *record.Record, err error)
}

// Policy decides which node loads. Its methods may be called from any goroutine.
type Policy interface {
	// Lead ends each of recs by one of steps. It returns when all have ended. If ctx ends while it
	// waits for other nodes, it ends the records that wait with the error of ctx.
	Lead(ctx context.Context, recs []*record.Record, steps Steps)
	// Wake makes the calls of Lead that wait for keys ask again at once.
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
	Config
	waiters
}

// Config configures leases. All fields but FenceTTL must be set.
type Config struct {
	TTL time.Duration // how long a lease lives
	// FenceTTL is the lifetime of fences. They are opened with the leases, in one call. Zero if there
	// are no fences.
	FenceTTL time.Duration
	Token    func() string // returns a fresh random text without ":"
	// Tell is called with keys whose loads have ended and for which other nodes wait. It should have
	// them call Wake; without it, they find out at their next look.
	Tell func(ctx context.Context, keys []string)
	// Hears reports whether this node hears soon what other nodes Tell. Then waiters look seldom.
	Hears func() bool
}

// New returns the Policy of a cache with leases.
func New(r *level.Remote, cfg Config) *On { return &On{remote: r, Config: cfg} }

const (
	// The first and the longest pause between two looks at a lease that another node holds.
	firstPause = 5 * time.Millisecond
	lastPause  = 100 * time.Millisecond
	// They are these if the node hears when a load has ended. It may still miss that, and it does not hear
	// of a node that has died.
	firstSeldom = 100 * time.Millisecond
	lastSeldom  = time.Second
	// failureTime is how long, at most, is kept for the nodes that wait that a load has failed, or that
	// its value was not stored.
	failureTime = time.Second
	// maxFailure is how many bytes of its text are kept, at most.
	maxFailure = 1 << 10
	// lastAsk is how long before its end, at least, an attempt looks for the last time. A look that has
	// no answer at the end counts as one that failed.
	lastAsk = 50 * time.Millisecond
	// releaseTimeout is how long the call that gives back leases may take.
	releaseTimeout = 5 * time.Second
)

// attempt is the attempt of one call to lead the loads of its keys.
type attempt struct {
	*On
	token string
	end   time.Time // from then on, it loads without a lease, whether or not the remote has answered
	pause time.Duration

	holders map[string]string // by key: the token of the attempt that it waits for
}

// Lead loads the records whose leases this node gets, and reads those that other nodes store
// meanwhile. What it has waited for in vain, for as long as a lease lives, it loads without a lease.
func (l *On) Lead(ctx context.Context, recs []*record.Record, steps Steps) {
	a := &attempt{On: l, token: l.Token(), end: time.Now().Add(l.TTL), pause: firstPause}
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
			defer stop()
			continue // Wake may have been called before await, so ask once more
		}
		if err := a.wait(ctx, woken); err != nil {
			for _, rec := range recs {
				steps.Fail(rec, err)
			}
			return
		}
	}
}

// load loads the records of lead, and gives back the leases of leased, which are some of them.
func (a *attempt) load(ctx context.Context, lead, leased []*record.Record, steps Steps) {
	defer a.release(ctx, leased) // also if the remote panics: then another node may try
	steps.Load(ctx, lead)
}

// divide returns the records that this node must load (lead), those of them whose leases it must give
// back (leased), and those that another node is loading (wait). It ends the others. A record for which
// the remote gives no answer, or has given none before, is loaded without a lease.
func (a *attempt) divide(ctx context.Context, recs []*record.Record, steps Steps) (lead, leased, wait []*record.Record) {
	ask := make([]*record.Record, 0, len(recs))
	for _, rec := range recs {
		if rec.Silent != nil || a.over() {
			lead = append(lead, rec)
		} else {
			ask = append(ask, rec)
		}
	}
	var there []*record.Record
	for i, answer := range a.ask(ctx, ask) {
		switch rec := ask[i]; answer.State {
		case remote.LeaseStored:
			if rec.Reload { // what is there cannot be decoded
				lead = append(lead, rec)
			} else {
				there = append(there, rec)
			}
		case remote.LeaseFailed:
			steps.Fail(rec, fmt.Errorf("%w: %s: %s", ErrElsewhere, quote.Key(rec.Key), quote.Line(answer.Failure)))
		case remote.LeaseNotStored: // each node that waits needs a load of its own, so none waits for another
			lead = append(lead, rec)
		case remote.LeaseUnknown:
			lead = append(lead, rec)
			if rec.Silent != nil { // the remote may have given the lease, and its answer was lost
				rec.Lease = a.token
				leased = append(leased, rec)
			}
		case remote.LeaseWon:
			lead, leased = append(lead, rec), append(leased, rec)
		default:
			if a.over() {
				lead = append(lead, rec)
			} else {
				wait = append(wait, rec)
			}
		}
	}
	if len(there) > 0 {
		lead = append(lead, steps.Read(ctx, there)...)
	}
	return lead, leased, wait
}

// over reports whether the attempt has waited for as long as a lease lives.
func (a *attempt) over() bool { return !time.Now().Before(a.end) }

// ask asks for the leases of recs. It does not wait for an answer after the end of the attempt.
func (a *attempt) ask(ctx context.Context, recs []*record.Record) []remote.LeaseAnswer {
	if len(recs) == 0 {
		return nil
	}
	asks := make([]remote.LeaseAsk, len(recs))
	for i, rec := range recs {
		asks[i] = remote.LeaseAsk{Key: rec.Key, Token: a.token, Awaited: a.holders[rec.Key], FenceTTL: a.FenceTTL}
	}
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, a.end)
	defer cancel()
	answers := a.remote.AcquireLeases(ctx, a.TTL, recs, asks)
	for i, answer := range answers {
		switch rec := recs[i]; answer.State { //nolint:exhaustive // the others leave the record as it is
		case remote.LeaseWon:
			rec.Lease = a.token
			if answer.Nonce != "" {
				rec.Token = record.Token{Nonce: answer.Nonce, Began: began}
			}
		case remote.LeaseHeld:
			if a.holders == nil {
				a.holders = make(map[string]string)
			}
			a.holders[rec.Key] = answer.Holder
		}
	}
	return answers
}

// wait waits until it is time to ask again. If ctx ends first, it returns the error of ctx.
func (a *attempt) wait(ctx context.Context, woken <-chan struct{}) error {
	last := lastPause
	if a.Hears() {
		a.pause, last = max(a.pause, firstSeldom), lastSeldom
	}
	spread := time.Duration(rand.Int64N(int64(a.pause)/2 + 1)) // so that nodes which began together do not ask together
	pause, left := a.pause/2+spread, time.Until(a.end)
	if left < pause+lastAsk {
		pause = left
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	a.pause = min(a.pause*3/2, last)
	select {
	case <-timer.C:
		return nil
	case <-woken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives back the leases of recs, unless that was done when they were stored. What became of a
// record that is not in the remote is kept for the nodes that wait. If the remote has given no answer
// since the leases were won, the caller does not wait for the release. The records were loaded with ctx.
func (a *attempt) release(ctx context.Context, recs []*record.Record) {
	var ends []remote.LeaseEnd
	var tell []string
	silent := false
	for _, rec := range recs {
		switch {
		case rec.Lease != "":
			ends = append(ends, a.endOf(ctx, rec))
		case rec.LeaseWanted:
			tell = append(tell, rec.Key)
		}
		silent = silent || rec.Silent != nil
	}
	ctx = context.WithoutCancel(ctx) // the callers may have left
	if silent {
		a.remote.Later(func() { a.giveBack(ctx, ends, tell) })
	} else {
		a.giveBack(ctx, ends, tell)
	}
}

// giveBack gives back leases. It tells other nodes of those that they wait for, and of the keys in tell.
func (a *attempt) giveBack(ctx context.Context, ends []remote.LeaseEnd, tell []string) {
	if len(ends) == 0 && len(tell) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	if len(ends) > 0 {
		for i, wanted := range a.remote.ReleaseLeases(ctx, min(a.TTL, failureTime), ends) {
			if wanted {
				tell = append(tell, ends[i].Key)
			}
		}
	}
	if len(tell) > 0 {
		a.Tell(ctx, tell)
	}
}

// endOf returns what the nodes that wait for rec, which was loaded with ctx, are told. If the callers
// of the load have left, or if it has panicked, they are told nothing: one of them gets the lease. A
// context error that the loader returns on its own is a failure like any other.
func (a *attempt) endOf(ctx context.Context, rec *record.Record) remote.LeaseEnd {
	end := remote.LeaseEnd{Key: rec.Key, Token: a.token}
	loaded := rec.Out.Kind != record.Miss
	switch {
	case rec.Stored == record.Stored, !loaded && rec.Err == nil, flight.Left(ctx, rec.Err):
	case loaded:
		end.NotStored = true
	default:
		text := rec.Err.Error()
		end.Failure = strings.ToValidUTF8(text[:min(len(text), maxFailure)], "") // without a part of a character at the end
	}
	return end
}

var _, _ Policy = Off{}, (*On)(nil)
