package remote

import (
	"fmt"
	"math"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// longestLifetime is the longest time.Duration of whole milliseconds, about 292 years. Redis
// accepts longer lifetimes, so it accepts this one.
const longestLifetime = math.MaxInt64 / time.Millisecond * time.Millisecond //nolint:durationcheck // the quotient is a number

// wholeMilliseconds rounds a lifetime up to the milliseconds that Redis counts in, and down to
// longestLifetime if it is longer. So a positive lifetime never becomes zero or negative.
func wholeMilliseconds(d time.Duration) time.Duration {
	if d >= longestLifetime {
		return longestLifetime
	}
	if rest := d % time.Millisecond; rest > 0 {
		d += time.Millisecond - rest
	}
	return d
}

// lifetime returns the whole milliseconds of the lifetime of key. Zero means that the key does not
// expire. A negative lifetime is an error: go-redis would take -1 for "keep the lifetime that the
// key has".
func lifetime(key string, expire time.Duration) (time.Duration, error) {
	if expire < 0 {
		return 0, fmt.Errorf("remote: the lifetime of %s is %s; give 0 for a key that does not expire", quote.Key(key), expire)
	}
	return wholeMilliseconds(expire), nil
}

// positive returns the number of milliseconds of a lifetime that must be above zero.
func positive(ttl time.Duration) (int64, error) {
	if ttl <= 0 {
		return 0, fmt.Errorf("remote: the ttl is %s; give one above 0", ttl)
	}
	return wholeMilliseconds(ttl).Milliseconds(), nil
}
