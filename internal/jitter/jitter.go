// Package jitter spreads durations, so that what was stored together does not
// expire together.
package jitter

import (
	"math"
	"math/rand/v2"
	"time"
)

// Default is the spread that the library uses for a lifetime when none is
// configured: a tenth of it, ten seconds at most.
func Default(ttl time.Duration) time.Duration {
	return min(ttl/10, 10*time.Second)
}

// Add returns d plus a random duration in [0, spread). A spread of zero or less
// adds nothing.
func Add(d, spread time.Duration) time.Duration {
	if spread <= 0 {
		return d
	}
	if d > math.MaxInt64-spread {
		return d // as long as can be said
	}
	return d + rand.N(spread)
}
