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
	// Set by detach.
	ctx    context.Context
	cancel context.CancelCauseFunc

	running    *running    // of the table
	generation *generation // of running; set by begin

	mu        sync.Mutex
	waiters   int         // guarded by mu
	abandoned atomic.Bool // written with mu held: waiters was zero once, and nobody may join from then on

	// waitsFor counts, by run, the waits of this run's loader for the results of other runs.
	waitsFor map[*loaderRun]int // guarded by cycles
}

// loaderRunKey is the key of a context's loaderRun.
type loaderRunKey struct{}

// newLoaderRun returns a run with one waiter. It has no context yet.
func newLoaderRun(running *running) *loaderRun { return &loaderRun{waiters: 1, running: running} }

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
	defer func() { stop() }()
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
