package flight

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/singleflight"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// Errors that a load may end with, beside those of its loader.
var (
	// ErrCycle is the error of a loader that asks for the key that it loads itself, directly or
	// through other loaders.
	ErrCycle = errors.New("cache: a loader waits for its own result")

	// ErrGoexit is the error of a loader that ended its goroutine.
	ErrGoexit = errors.New("cache: the loader called runtime.Goexit (as t.FailNow does)")
)

// call is the load of one key. Its result is set once, before its waiters are woken.
type call[V any] struct {
	note       Note[V] // the key, and when the load began
	run        *loaderRun
	mark       joinMark
	background bool // the stores may well have the key: see InBackground

	value V
	err   error

	// Guarded by the shard's mutex.
	grouped  bool // its loader runs in Table.group
	resolved bool // it has its result

	// done is closed when the call has its result. Guarded by the shard's mutex. It is nil
	// until somebody needs it. It is needed by waiters that joined while the call was not
	// grouped, and by the leader: its channel of the group stays empty if the loader's goroutine
	// ends without returning.
	done chan struct{}
}

// waiter waits for the result of a call. One of its channels may be nil.
type waiter[V any] struct {
	call   *call[V]
	result <-chan singleflight.Result // of a grouped call
	done   <-chan struct{}
}

// joinLocked joins the call of e. It reports false if there is none, or none that may be joined.
func (t *Table[V]) joinLocked(e *entry[V]) (waiter[V], bool) {
	c := e.joinable
	if c == nil || !t.joinLimit.allows(c.mark) || !c.run.join() {
		return waiter[V]{}, false
	}
	w := waiter[V]{call: c}
	if c.grouped {
		w.result = t.group.DoChan(e.key, notCalled)
	} else if c.done == nil {
		c.done = make(chan struct{})
	}
	w.done = c.done
	return w, true
}

// notCalled is the function of a DoChan that joins. The group has a call of the key then, so it
// does not call the function.
func notCalled() (any, error) { return nil, errors.New("cache: internal error: no load is running") }

// wait returns the call's result, or ctx's error if ctx ends first. In both cases the waiter
// leaves.
func (w waiter[V]) wait(ctx context.Context) (V, error) {
	c := w.call
	defer c.run.leave()
	if err := c.run.await(ctx, w.result, w.done); err != nil {
		var zero V
		if errors.Is(err, ErrCycle) {
			err = fmt.Errorf("%w: key %s", err, quote.Key(c.note.e.key))
		}
		return zero, err
	}
	return c.value, c.err
}

// resolve gives a call its result and wakes its waiters. Only the first resolve of a call
// counts; it reports whether it was the first.
func (t *Table[V]) resolve(c *call[V], v V, err error) bool {
	e := c.note.e
	s := t.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.resolved {
		return false
	}
	c.value, c.err, c.resolved = v, c.run.mark(err), true
	if e.joinable == c {
		t.endJoiningLocked(e)
	}
	if c.done != nil {
		close(c.done)
	}
	s.releaseLocked(e)
	return true
}
