package level

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
)

// calls are the calls of a store that run in goroutines of their own, so that nobody has to wait for
// their end. The methods may be called concurrently.
type calls struct {
	left atomic.Int64 // calls that within has left behind, and that have not ended

	mu      sync.Mutex
	running int           // guarded by mu
	ended   chan struct{} // guarded by mu: closed when none is running; nil if nobody waits for that
}

// start calls f in a goroutine.
func (c *calls) start(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	go func() {
		defer c.end()
		f()
	}()
}

func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running--; c.running == 0 && c.ended != nil {
		close(c.ended)
		c.ended = nil
	}
}

// wait waits until no call is running, for bound at most. It reports whether none is.
func (c *calls) wait(bound time.Duration) bool {
	c.mu.Lock()
	if c.running == 0 {
		c.mu.Unlock()
		return true
	}
	if c.ended == nil {
		c.ended = make(chan struct{})
	}
	ended := c.ended
	c.mu.Unlock()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}

// answer is what a call of a store has returned.
type answer[T any] struct {
	value T
	err   error
}

// caught returns the answer of call. A panic of the store is an error.
func caught[T any](ctx context.Context, call func(ctx context.Context) (T, error)) (a answer[T]) {
	defer func() {
		if p := recover(); p != nil {
			a.err = &flight.PanicError{Value: p, Stack: debug.Stack(), What: "the remote"}
		}
	}()
	a.value, a.err = call(ctx)
	return a
}

// within returns the answer of call, or the error of ctx when ctx ends, whatever call does then. If it
// leaves call behind, ended is a channel that is closed when call has ended; otherwise it is nil.
func within[T any](ctx context.Context, c *calls, call func(ctx context.Context) (T, error)) (value T, ended <-chan struct{}, err error) {
	result, over := make(chan answer[T], 1), make(chan struct{})
	var settled atomic.Bool // by whichever comes first: the answer, or the end of ctx
	c.start(func() {
		a := answer[T]{err: flight.ErrGoexit} // until the call returns
		defer func() {
			result <- a
			if !settled.CompareAndSwap(false, true) {
				c.left.Add(-1)
			}
			close(over)
		}()
		a = caught(ctx, call)
	})
	select {
	case a := <-result:
		return a.value, nil, a.err
	case <-ctx.Done():
	}
	if settled.CompareAndSwap(false, true) {
		c.left.Add(1)
		return value, over, ctx.Err()
	}
	a := <-result // both have happened
	return a.value, nil, a.err
}

// Wait waits until the calls have ended that nobody waits for any more, for bound at most. It reports
// whether they have ended.
func (r *Remote) Wait(bound time.Duration) bool { return r.calls.wait(bound) }

// Later calls f, which calls the store, in a goroutine of its own. Wait waits for it.
func (r *Remote) Later(f func()) { r.calls.start(f) }
