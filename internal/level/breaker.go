package level

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/mgtv-tech/jetcache-go/internal/jitter"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// ErrUnavailable is the error of a call that was not made, because the breaker is open.
var ErrUnavailable = errors.New("cache: the remote is not called, because too many of its calls have failed")

// Breaker says when calls of the remote are no longer made. All fields must be set.
type Breaker struct {
	FailureRatio float64       // of failures among the calls of Window
	MinCalls     int           // of Window, before the ratio counts
	Window       time.Duration // the calls that count
	OpenFor      time.Duration // how long no call is made; up to a tenth is added
}

// windowParts is the number of parts in which a window moves on.
const windowParts = 10

// outcome is what the end of a call means for a breaker.
type outcome uint8

const (
	failure outcome = iota
	success
	excluded // neither
)

// The outcomes in the words of gobreaker. A success is nil.
var (
	errFailure  = errors.New("failure")
	errExcluded = errors.New("excluded")
)

func (o outcome) err() error {
	switch o {
	case success:
		return nil
	case excluded:
		return errExcluded
	default:
		return errFailure
	}
}

// breaker stops calls of one side of the remote when too many of them fail. Its methods may be called
// concurrently. A nil breaker lets all calls through.
type breaker struct {
	side    string // for logs
	openFor time.Duration
	observe *observe.Observer
	calls   *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu      sync.Mutex
	last    error     // guarded by mu: of the last failure
	opened  time.Time // guarded by mu: zero if it is closed
	changes []change  // guarded by mu: that have not been logged
}

// change is a change of a breaker's state.
type change struct {
	opened bool
	cause  error         // of opening
	lasted time.Duration // how long it was open
}

func newBreaker(side string, cfg Breaker, o *observe.Observer) *breaker {
	b := &breaker{side: side, openFor: jitter.Add(cfg.OpenFor, cfg.OpenFor/10), observe: o}
	b.calls = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  1,
		Interval:     cfg.Window,
		BucketPeriod: max(cfg.Window/windowParts, 1),
		Timeout:      b.openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			n := uint64(c.TotalSuccesses) + uint64(c.TotalFailures)
			return n >= uint64(cfg.MinCalls) && float64(c.TotalFailures) >= cfg.FailureRatio*float64(n)
		},
		OnStateChange: func(_ string, _, to gobreaker.State) { b.changed(to) },
		IsExcluded:    func(err error) bool { return errors.Is(err, errExcluded) },
	})
	return b
}

// enter reports whether a call may be made. If it may, done must be called with its outcome and error.
func (b *breaker) enter() (done func(o outcome, err error), err error) {
	if b == nil {
		return func(outcome, error) {}, nil
	}
	finish, refused := b.calls.Allow()
	if refused != nil { // it is open, or half-open, and its probe is under way
		return nil, ErrUnavailable
	}
	return func(o outcome, err error) {
		if o == failure && err != nil {
			b.mu.Lock()
			b.last = err
			b.mu.Unlock()
		}
		finish(o.err())
		b.report()
	}, nil
}

// changed notes a change of the state. gobreaker calls it under its mutex, so it must not log. A probe
// that fails is no change: the remote is down as before.
func (b *breaker) changed(to gobreaker.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case to == gobreaker.StateOpen && b.opened.IsZero():
		b.opened = time.Now()
		b.changes = append(b.changes, change{opened: true, cause: b.last})
	case to == gobreaker.StateClosed:
		b.changes = append(b.changes, change{lasted: time.Since(b.opened)})
		b.opened, b.last = time.Time{}, nil
	}
}

// report logs the changes of the state.
func (b *breaker) report() {
	b.mu.Lock()
	changes := b.changes
	b.changes = nil
	b.mu.Unlock()
	for _, c := range changes {
		if c.opened {
			b.observe.Warn(nil, "the breaker of the remote's %s has opened: too many calls have failed, the last one with: %v; one call is tried every %s", b.side, c.cause, b.openFor.Round(time.Millisecond))
		} else {
			b.observe.Warn(nil, "the breaker of the remote's %s has closed after %s: the remote answers again", b.side, c.lasted.Round(time.Millisecond))
		}
	}
}

// state returns "closed", "open" or "half-open", and "" for a nil breaker.
func (b *breaker) state() string {
	if b == nil {
		return ""
	}
	return b.calls.State().String()
}

// Down reports whether the breaker of reads is open, or waits for its probe.
func (r *Remote) Down() bool { return r.reads != nil && r.reads.calls.State() != gobreaker.StateClosed }

// State returns the states of the breakers of reads and of writes: "closed", "open" or "half-open". It
// is "" without breakers.
func (r *Remote) State() (reads, writes string) { return r.reads.state(), r.writes.state() }

// downReplies begin the errors of servers that cannot serve at the moment.
// https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
var downReplies = []string{"LOADING ", "READONLY ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ", "max number of clients reached"}

// unavailable reports whether err, or the error of any key in it, says that the store could not be
// reached, or cannot serve. An error that is about a key, such as WRONGTYPE, does not say so; absent
// is the error of an absent key.
func unavailable(err, absent error) bool {
	switch e := err.(type) { //nolint:errorlint // it looks at each error of the tree
	case *remote.KeysError:
		for _, failed := range e.Failed {
			if unavailable(failed, absent) {
				return true
			}
		}
		return false
	case interface{ RedisError() }: // go-redis' redis.Error
		return downReply(err.Error())
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			if unavailable(part, absent) {
				return true
			}
		}
		return false
	case interface{ Unwrap() error }:
		if part := e.Unwrap(); part != nil {
			return unavailable(part, absent)
		}
	}
	for _, answer := range []error{absent, remote.ErrNoSibling, remote.ErrFenceLost, remote.ErrUnsupported} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return true // there was no reply
}

// downReply reports whether the text of a reply says that the server cannot serve.
func downReply(text string) bool {
	text = strings.TrimPrefix(text, "ERR ")
	for _, reply := range downReplies {
		if strings.HasPrefix(text, reply) {
			return true
		}
	}
	return strings.Contains(text, "-READONLY ") // of a script, before Redis 7
}
