package flight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// Errors that a load may end with, beside those of its loader.
var (
	// ErrCycle is the error of a loader that asks for what waits for it.
	ErrCycle = errors.New("cache: a loader waits for its own result")

	// ErrGoexit is the error of a loader that ended its goroutine.
	ErrGoexit = errors.New("cache: the loader called runtime.Goexit (as t.FailNow does)")

	// errAbandoned is why the context of a load that nobody waits for is cancelled.
	errAbandoned = errors.New("cache: every caller of the load has left")
)

// PanicError is the error of a load whose loader panicked.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // the stack of the goroutine that panicked
}

// Error returns the panic's text and stack.
func (p *PanicError) Error() string {
	return fmt.Sprintf("cache: the loader panicked: %v\n\n%s", p.Value, p.Stack)
}

// Unwrap returns what was given to panic, if that is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// load is one run of a loader, for one key or for a batch. It is detached from its
// callers: it has their values but not their cancellation, and ends early only when all
// of them have left.
type load struct {
	// Set by detach.
	ctx    context.Context
	cancel context.CancelCauseFunc

	running    *running    // of the table
	generation *generation // of running; set when the load begins

	mu        sync.Mutex
	waiters   int         // guarded by mu
	abandoned atomic.Bool // written with mu held: waiters has been zero; nobody may join any more

	// waitsFor are the loads whose results this load's loader is waiting for.
	waitsFor map[*load]int // guarded by cycles
}

type loadKey struct{}

// newLoad returns a load with one waiter, which has no context yet.
func newLoad(running *running) *load { return &load{waiters: 1, running: running} }

// detach gives the load its context: ctx with its values, but without its cancellation.
func (l *load) detach(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	l.ctx = context.WithValue(ctx, loadKey{}, l)
	if l.abandoned.Load() {
		l.cancel(errAbandoned)
	}
}

// join adds a waiter; it reports false if the load has been abandoned.
func (l *load) join() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.abandoned.Load() {
		return false
	}
	l.waiters++
	return true
}

// leave takes off a waiter; with the last one the load is cancelled.
func (l *load) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiters--; l.waiters == 0 {
		l.abandoned.Store(true)
		if l.cancel != nil {
			l.cancel(errAbandoned)
		}
	}
}

// begin notes that the load gets a goroutine.
func (l *load) begin() { l.generation = l.running.begin() }

// end notes that the load's goroutine has done its work.
func (l *load) end() {
	l.running.end(l.generation)
	l.cancel(nil) // releases the context
}

// call is a load as seen from one of its keys. Its result is set once, before whoever
// waits for it is told.
type call[V any] struct {
	note   Note[V] // the key, and when the load began
	load   *load
	single bool // run by Table.single (guarded by the shard's mutex)
	// background: it loads although the stores may well have the key.
	background bool
	boarding   boarding

	value V
	err   error

	// done is closed when the result is there. A call has it only when somebody needs it: who
	// has joined before, or without, Table.single, and who could be left waiting by that
	// because the load's goroutine ended without returning. Guarded by the shard's mutex.
	done chan struct{}
	// settled says that the call has its result; guarded by the shard's mutex.
	settled bool
}

// ticket is a waiter's claim to a call's result.
type ticket[V any] struct {
	call   *call[V]
	result <-chan singleflight.Result // of a single call
	done   <-chan struct{}
}

// joinLocked returns a ticket for e's flight, if there is one that takes waiters and has not
// been parted from them.
func (t *Table[V]) joinLocked(e *entry[V]) (ticket[V], bool) {
	c := e.flight
	if c == nil || t.parting.over(c.boarding) || !c.load.join() {
		return ticket[V]{}, false
	}
	w := ticket[V]{call: c}
	if c.single {
		w.result = t.single.DoChan(e.key, noLoad)
	} else if c.done == nil {
		c.done = make(chan struct{})
	}
	w.done = c.done
	return w, true
}

// noLoad stands in for the load where one is known to be running: singleflight does not
// call it.
func noLoad() (any, error) { return nil, errors.New("cache: internal error: no load is running") }

// patience is how long a caller waits before it makes sure that it is not its own
// loader it waits for. The look at the goroutine costs microseconds.
const patience = 100 * time.Millisecond

// wait returns the call's result, or ctx's error when ctx ends first. Either way the
// waiter leaves.
func (w ticket[V]) wait(ctx context.Context) (V, error) {
	c := w.call
	defer c.load.leave()
	if err := c.load.await(ctx, w.result, w.done); err != nil {
		var zero V
		if errors.Is(err, ErrCycle) {
			err = fmt.Errorf("%w: key %q", err, c.note.e.key)
		}
		return zero, err
	}
	return c.value, c.err
}

// await waits until one of the channels has something or is closed. It returns ctx's error
// when ctx ends first, and ErrCycle if the caller is part of the loader that it waits for.
func (l *load) await(ctx context.Context, result <-chan singleflight.Result, done <-chan struct{}) error {
	stop, err := l.awaitedBy(loaderOf(ctx))
	if err != nil {
		return err
	}
	defer func() { stop() }()
	timer := time.NewTimer(patience)
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
			also, err := l.awaitedBy(loaderOfGoroutine())
			if err != nil {
				return err
			}
			first := stop
			stop = func() { first(); also() }
		}
	}
}
