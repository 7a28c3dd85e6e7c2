package level

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// Guards bound what a remote costs that is slow or down. The zero Guards do nothing.
type Guards struct {
	Timeout time.Duration // of each call; zero if there is none
	Breaker *Breaker      // nil if there is none
}

// Guard bounds the calls of the store, those of Track excepted. Call it once, before the first use.
// Without Guards, each call goes straight to the store.
func (r *Remote) Guard(g Guards) {
	if !r.Exists() || g == (Guards{}) {
		return
	}
	r.timeout = g.Timeout
	heeder, ok := r.store.(remote.ContextHeeder)
	r.heeds = ok && heeder.HeedsContext()
	base := guard{timeout: g.Timeout, heeds: r.heeds, calls: &r.calls, absent: r.store.Nil()}
	if g.Timeout > 0 {
		base.over = &timeoutError{g.Timeout}
		r.over = base.over
	}
	reads, writes := base, base
	if g.Breaker != nil {
		r.reads, r.writes = newBreaker("reads", *g.Breaker, r.observe), newBreaker("writes", *g.Breaker, r.observe)
		reads.breaker, writes.breaker = r.reads, r.writes
	}
	r.guardStore(&reads, &writes)
}

// HeedsContext reports whether a call of the store ends with its ctx, as far as the store says so. It
// is known after Guard.
func (r *Remote) HeedsContext() bool { return r.heeds }

// Bounded returns ctx with the deadline of one call of the remote, if its calls have one. EndOf tells its
// end from that of the caller's ctx.
func (r *Remote) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, r.timeout, r.over)
}

// EndOf returns why ctx has ended: an error that names the timeout if it was that of Bounded or of a call,
// and the error of ctx otherwise.
func EndOf(ctx context.Context) error {
	if cause := context.Cause(ctx); timedOut(cause) {
		return cause
	}
	return ctx.Err()
}

// timeoutError is the error of a call that the remote has not answered in time.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string {
	return fmt.Sprintf("the remote gave no answer within the %s of WithRemoteTimeout", e.after)
}

// Timeout makes it a net.Error in all but name.
func (*timeoutError) Timeout() bool { return true }

// Is makes it a context.DeadlineExceeded.
func (*timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

func timedOut(err error) bool {
	var over *timeoutError
	return errors.As(err, &over)
}

// guard bounds the calls of one side of the remote: its reads, or its writes.
type guard struct {
	timeout time.Duration // zero if there is none
	over    *timeoutError // of calls that take longer; nil without a timeout
	heeds   bool          // the store ends its calls with their ctx
	calls   *calls
	breaker *breaker // nil if there is none
	absent  error    // what the store returns for an absent key
}

// guarded makes a call of the store within the bounds of g. The error is ErrUnavailable if the
// breaker does not let it through.
func guarded[T any](ctx context.Context, g *guard, call func(ctx context.Context) (T, error)) (value T, err error) {
	done, err := g.breaker.enter()
	if err != nil {
		return value, err
	}
	outcome := failure // if the store panics
	defer func() { done(outcome, err) }()
	value, err = inTime(ctx, g, call)
	outcome = g.judge(ctx, err)
	return value, err
}

// maxLeft is how many calls that have timed out may go on at a time. go-redis may take a minute to give
// up a call that is not answered.
const maxLeft = 1024

// errTooManyLeft is the error of a call that is not made, because maxLeft earlier ones go on.
var errTooManyLeft = fmt.Errorf("cache: the remote is not called, because %d earlier calls have timed out and have not ended yet", maxLeft)

// inTime makes a call of the store within the timeout. A call that does not heed its ctx is left
// behind when that ends: the error is an abandonedError then.
func inTime[T any](ctx context.Context, g *guard, call func(ctx context.Context) (T, error)) (value T, err error) {
	if g.timeout <= 0 {
		return call(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, g.timeout, g.over)
	defer cancel()
	switch {
	case ctx.Err() != nil:
		return value, EndOf(ctx)
	case g.heeds:
		value, err = call(ctx)
	case g.calls.left.Load() >= maxLeft:
		return value, errTooManyLeft
	default:
		var ended <-chan struct{}
		if value, ended, err = within(ctx, g.calls, call); ended != nil {
			return value, &abandonedError{EndOf(ctx), ended}
		}
	}
	if err != nil && g.endedBy(ctx) {
		if _, named := namedIn(err); !named { // otherwise it says more
			err = fmt.Errorf("%w: %w", g.over, err)
		}
	}
	return value, err
}

// endedBy reports whether the timeout has ended ctx.
func (g *guard) endedBy(ctx context.Context) bool {
	return ctx.Err() != nil && timedOut(context.Cause(ctx))
}

// judge says what the end of a call with ctx means for the breaker.
func (g *guard) judge(ctx context.Context, err error) outcome {
	switch {
	case err == nil || errors.Is(err, g.absent):
		return success
	case timedOut(err):
		return failure
	case ctx.Err() != nil && !g.endedBy(ctx): // the caller has left
		return excluded
	case unavailable(err, g.absent):
		return failure
	}
	return success
}

// abandonedError is the error of a call that nobody waits for any more. The call may still take
// effect, until Ended is closed.
type abandonedError struct {
	error
	ended <-chan struct{}
}

func (e *abandonedError) Unwrap() error          { return e.error }
func (e *abandonedError) Ended() <-chan struct{} { return e.ended }

// Abandoned returns a channel if err is that of a call which goes on though nobody waits for it. The
// channel is closed when the call has ended. Otherwise it is nil.
func Abandoned(err error) (ended <-chan struct{}) {
	var a *abandonedError
	if errors.As(err, &a) {
		return a.ended
	}
	return nil
}

// guardStore puts the guards between the level and the store.
func (r *Remote) guardStore(reads, writes *guard) {
	r.raw = r.store
	r.store = guardedStore{r.store, reads, writes}
	if r.ttl != nil {
		r.ttl = guardedTTL{r.ttl, reads}
	}
	if r.items != nil {
		r.items = guardedItems{r.items, writes}
	}
	if r.keys != nil {
		r.keys = guardedKeys{r.keys, writes}
	}
	if r.fences != nil {
		r.fences = guardedFences{r.fences, writes}
	}
	if r.leases != nil {
		r.leases = guardedLeases{r.leases, writes}
	}
	if r.locks != nil {
		r.locks = guardedLocks{r.locks, writes}
	}
}
