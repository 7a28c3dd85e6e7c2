package flight

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// errAbandoned is why the context of a load is cancelled that nobody waits for any more.
var errAbandoned = errors.New("cache: every caller of the load has left")

// loaderRun is one run of a loader, for one key or for the keys of a batch. Its context has the
// values of the leader's context, but not its cancellation: the run is cancelled only when all
// its waiters have left.
type loaderRun struct {
	leader context.Context //nolint:containedctx // the leader's own; only its end is looked at

	// Set by detach.
	ctx    context.Context //nolint:containedctx // the run outlives its callers, and this ends it
	cancel context.CancelCauseFunc

	running    *running    // of the table
	generation *generation // of running; set by begin

	mu        sync.Mutex
	waiters   int         // guarded by mu
	retained  bool        // guarded by mu: see retain
	abandoned atomic.Bool // written with mu held: waiters was zero once, and nobody may join from then on

	// waitsFor counts, by run, the waits of this run's loader for the results of other runs.
	waitsFor map[*loaderRun]int // guarded by cycles
	// wanted is closed when the loader of another run waits for this run. Nil until somebody needs it.
	wanted   chan struct{} // guarded by cycles
	isWanted bool          // guarded by cycles: wanted is closed, or would be
}

// loaderRunKey is the key of a context's loaderRun.
type loaderRunKey struct{}

// newLoaderRun returns a run with one waiter, its leader, whose context is ctx. The run has no
// context of its own yet.
func newLoaderRun(ctx context.Context, running *running) *loaderRun {
	return &loaderRun{leader: ctx, waiters: 1, running: running}
}

// leaderLeftError is the error of a load which ended because its leader's context did: the loader
// used that context instead of the one that it was given. It is the leader's own business; a
// waiter may load again.
type leaderLeftError struct{ error }

func (e leaderLeftError) Unwrap() error { return e.error }

// LeaderLeft reports whether a load failed with err only because its leader's context had ended.
// A context error of the loader's own, such as that of a query with a deadline, is not meant: it
// is an error like any other.
func LeaderLeft(err error) bool {
	var left leaderLeftError
	return errors.As(err, &left)
}

// Settled returns err for a caller that does not load again: LeaderLeft does not hold for it, so
// that a loader which passes it on does not seem to have lost its own leader.
func Settled(err error) error {
	if left, ok := err.(leaderLeftError); ok { //nolint:errorlint // the mark is taken off here before anything wraps it
		return left.error
	}
	return err
}

// Left reports whether a load that was given ctx has failed with err only because its callers have
// left: ctx has ended, or the context of its leader has, and the loader used that one.
func Left(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	r := runOf(ctx)
	return r != nil && LeaderLeft(r.mark(err))
}

// ended reports whether ctx has ended. A deadline that is reached counts: the timer of a context
// that was made from ctx, with the same deadline, may fire before that of ctx.
func ended(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(end)
}

// mark returns the error that the waiters of a run get, whose load failed with err.
func (r *loaderRun) mark(err error) error {
	if err == nil || !ended(r.leader) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return leaderLeftError{err}
	}
	return err
}

// detach gives the run its context: it has the values of ctx, but does not end with ctx.
func (r *loaderRun) detach(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, r.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	r.ctx = context.WithValue(ctx, loaderRunKey{}, r)
	if r.abandoned.Load() {
		r.cancel(errAbandoned)
	}
}

// join adds a waiter. It reports false if the run has been abandoned.
func (r *loaderRun) join() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abandoned.Load() {
		return false
	}
	r.waiters++
	return true
}

// retainTime is how long a run goes on, at least, that nobody waits for and that retain was called of.
const retainTime = 30 * time.Second

// retain makes the run go on for a while when all waiters have left.
func (r *loaderRun) retain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retained || r.abandoned.Load() {
		return
	}
	r.retained = true
	r.waiters++
	time.AfterFunc(retainTime, r.leave)
}

// leave removes a waiter. When the last waiter leaves, the run is abandoned and cancelled.
func (r *loaderRun) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiters--; r.waiters == 0 {
		r.abandoned.Store(true)
		if r.cancel != nil {
			r.cancel(errAbandoned)
		}
	}
}

// begin counts the run among those that the table waits for.
func (r *loaderRun) begin() { r.generation = r.running.begin() }

// end ends what begin began, and releases the context.
func (r *loaderRun) end() {
	r.running.end(r.generation)
	r.cancel(nil)
}

// cycleCheckDelay is how long a caller waits before it checks whether it waits for its own loader.
// The check reads the goroutine's number from a stack trace, which takes microseconds.
const cycleCheckDelay = 100 * time.Millisecond

// await waits until result has an element or done is closed. It returns ctx's error if ctx ends
// first, and ErrCycle if the caller is part of the loader that it waits for. A nil channel is not
// waited for.
func (r *loaderRun) await(ctx context.Context, result <-chan singleflight.Result, done <-chan struct{}) error {
	stop, err := r.registerWait(runOf(ctx))
	if err != nil {
		return err
	}
	defer func() { stop() }() //nolint:gocritic // stop changes below
	timer := time.NewTimer(cycleCheckDelay)
	defer timer.Stop()
	for {
		select {
		case <-result:
			return nil
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			also, err := r.registerWait(runOfGoroutine())
			if err != nil {
				return err
			}
			first := stop
			stop = func() { first(); also() }
		}
	}
}
