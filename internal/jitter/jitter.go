// Package jitter adds random amounts to durations, so that what began at the same time does not
// end at the same time. Its functions may be called concurrently.
package jitter

import (
	"math"
	"math/rand/v2"
	"time"
)

// Default returns the spread that the library uses for a lifetime if none is configured: a tenth
// of ttl, but at most ten seconds.
func Default(ttl time.Duration) time.Duration {
	return min(ttl/10, 10*time.Second)
}

// Add returns d plus a random duration in [0, spread). If spread is zero or less, or the sum
// could overflow, it returns d.
func Add(d, spread time.Duration) time.Duration {
	if spread <= 0 || d > math.MaxInt64-spread {
		return d
	}
	return d + rand.N(spread)
}

// Shorten returns d times 1 - x, where x is a random number in [0, fraction), and fraction is in [0, 1).
// A result of a millisecond or more is in whole milliseconds, as Redis counts them.
func Shorten(d time.Duration, fraction float64) time.Duration {
	spread := time.Duration(float64(d) * fraction)
	if spread <= 0 {
		return d
	}
	d -= rand.N(spread)
	if whole := d.Truncate(time.Millisecond); whole > 0 {
		return whole
	}
	return d
}

// Around returns a random duration in [-spread/2, spread-spread/2). If spread is zero or less, it
// returns 0.
func Around(spread time.Duration) time.Duration {
	if spread <= 0 {
		return 0
	}
	return rand.N(spread) - spread/2
}
