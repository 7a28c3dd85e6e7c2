package local

import (
	"math"
	"time"
)

// clock is the clock of a store: the nanoseconds since it began. To read it takes half as long as to
// read the time of day.
type clock struct {
	began time.Time
}

func newClock() clock { return clock{began: time.Now()} }

// now reads the clock.
func (c clock) now() int64 { return int64(time.Since(c.began)) }

// at returns what the clock showed at t. It is off for a t that lies 146 years back or more.
func (c clock) at(t time.Time) int64 { return max(int64(t.Sub(c.began)), math.MinInt64/2) }

// forever is the time at which an entry ends that does not expire.
const forever = math.MaxInt64

// after returns the time d (zero or more) after t, which is forever if it cannot be counted.
func after(t int64, d time.Duration) int64 {
	if end := t + int64(d); end >= t {
		return end
	}
	return forever
}
