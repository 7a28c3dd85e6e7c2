package flight

import (
	"context"
	"slices"
	"sync"
)

// lane is a mutex that can be waited for until a context ends; who waits gets it in turn. Most
// keys' lanes are never waited for, so it makes a channel only for a waiter. The zero value is
// free.
type lane struct {
	mu    sync.Mutex
	held  bool            // guarded by mu
	queue []chan struct{} // guarded by mu: who waits; a channel is closed to hand the lane over
}

// enter waits for the lane until ctx ends. A free lane is taken whatever ctx says.
func (l *lane) enter(ctx context.Context) error {
	if l.try() {
		return nil
	}
	turn := l.wait()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, turn)
	if i < 0 { // it was our turn at the same moment
		return nil
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	return ctx.Err()
}

// wait queues for the lane; the result is closed when it is the caller's.
func (l *lane) wait() (turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn = make(chan struct{})
	if !l.held { // it has been left meanwhile
		l.held = true
		close(turn)
	} else {
		l.queue = append(l.queue, turn)
	}
	return turn
}

// try takes the lane if it is free.
func (l *lane) try() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held {
		return false
	}
	l.held = true
	return true
}

// leave gives the lane to who has waited longest, or frees it.
func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.held = false
		return
	}
	close(l.queue[0])
	l.queue = slices.Delete(l.queue, 0, 1)
}
