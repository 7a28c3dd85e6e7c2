package flight

import (
	"context"
	"sync"
)

// lane is a mutex that can be waited for until a context ends. Most keys' lanes are never
// waited for, so it makes a channel only for a waiter. The zero value is free.
type lane struct {
	mu   sync.Mutex
	held bool          // guarded by mu
	free chan struct{} // guarded by mu: closed when the lane is left; nil: nobody waits
}

// enter waits for the lane until ctx ends. A free lane is taken whatever ctx says.
func (l *lane) enter(ctx context.Context) error {
	for {
		free, ok := l.tryOrWait()
		if ok {
			return nil
		}
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryOrWait takes the lane if it is free, and otherwise returns what tells when to try again.
func (l *lane) tryOrWait() (free <-chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held {
		l.held = true
		return nil, true
	}
	if l.free == nil {
		l.free = make(chan struct{})
	}
	return l.free, false
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

func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = false
	if l.free != nil {
		close(l.free)
		l.free = nil
	}
}
