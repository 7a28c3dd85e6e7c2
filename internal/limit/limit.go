// Package limit bounds how often a log line is written, so that an event which happens often
// does not flood the log.
package limit

import (
	"fmt"
	"sync"
	"time"
)

// Limiter lets one line pass in each interval and counts the lines that it suppresses in
// between. Its zero value suppresses nothing. All its methods may be called concurrently. A
// Limiter must not be copied after its first use.
type Limiter struct {
	// Interval is the shortest time between two lines. Zero or less suppresses nothing. It
	// must not change after the first use.
	Interval time.Duration

	mu         sync.Mutex
	next       time.Time // guarded by mu: when the next line may pass
	suppressed int       // guarded by mu: how many lines were suppressed since the last one passed
}

// Allow reports whether a line may be written now. If so, it also returns how many lines were
// suppressed since the last one that passed, and starts to count again from zero. Most callers
// want Line, which returns that number as text.
func (l *Limiter) Allow() (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.next) {
		l.suppressed++
		return 0, false
	}
	suppressed, l.suppressed = l.suppressed, 0
	l.next = now.Add(l.Interval)
	return suppressed, true
}

// Line reports whether a line may be written now. If so, the caller appends suffix to the line:
// it is Suffix of the number that Allow returns.
func (l *Limiter) Line() (suffix string, ok bool) {
	suppressed, ok := l.Allow()
	return Suffix(suppressed), ok
}

// Suffix returns the end of a log line before which n lines like it were suppressed. It begins
// with a space, and it is empty if n is zero or less.
func Suffix(n int) string {
	switch {
	case n <= 0:
		return ""
	case n == 1:
		return " (1 line like this was suppressed before it)"
	}
	return fmt.Sprintf(" (%d lines like this were suppressed before it)", n)
}
