package flight

import (
	"context"
	"slices"
	"sync"
)

// writeLock is the write lock of a key: a mutex whose waiters can give up when a context ends. It
// goes to the waiters in the order in which they came. Most write locks never have a waiter, so
// channels are made only for waiters. The zero value is an unlocked writeLock.
type writeLock struct {
	mu    sync.Mutex
	held  bool            // guarded by mu
	queue []chan struct{} // guarded by mu: the waiters; closing a channel gives its waiter the lock
}

// lock waits for the lock until ctx ends. It takes a free lock even if ctx has ended.
func (l *writeLock) lock(ctx context.Context) error {
	if l.tryLock() {
		return nil
	}
	turn := l.enqueue()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, turn)
	if i < 0 { // the lock was given to us at the same moment
		return nil
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	return ctx.Err()
}

// enqueue adds a waiter. turn is closed when the waiter has the lock.
func (l *writeLock) enqueue() (turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn = make(chan struct{})
	if !l.held { // it was unlocked since tryLock
		l.held = true
		close(turn)
	} else {
		l.queue = append(l.queue, turn)
	}
	return turn
}

// tryLock takes the lock if it is free, and reports whether it was.
func (l *writeLock) tryLock() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held {
		return false
	}
	l.held = true
	return true
}

// unlock gives the lock to the first waiter, or frees it if there is none.
func (l *writeLock) unlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.held = false
		return
	}
	close(l.queue[0])
	l.queue = slices.Delete(l.queue, 0, 1)
}
