// Package limit keeps a log from being flooded by what happens often.
package limit

import (
	"sync"
	"time"
)

// Limiter lets one line through per interval and counts those it held back. Its zero
// value lets everything through. It is safe for concurrent use.
type Limiter struct {
	Interval time.Duration // set before first use

	mu   sync.Mutex
	next time.Time // guarded by mu: when a line may pass again
	held int       // guarded by mu
}

// Allow reports whether a line may be written now and, if so, how many have been held
// back since the one before.
func (l *Limiter) Allow() (held int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.next) {
		l.held++
		return 0, false
	}
	held, l.held = l.held, 0
	l.next = now.Add(l.Interval)
	return held, true
}
