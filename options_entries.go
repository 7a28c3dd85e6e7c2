package cache

import (
	"fmt"

	"github.com/mgtv-tech/jetcache-go/internal/load"
)

// ErrValueTooLarge is wrapped by the errors of Set, and of what is built on it, for a value whose stored
// form is larger than WithMaxValueBytes allows. What the levels had of the key has been removed, as it is
// older.
var ErrValueTooLarge = load.ErrTooLarge

// entryOptions are the options of what is stored. The zero value changes nothing.
type entryOptions struct {
	ttlJitter     float64
	maxValueBytes int
	maxKeyBytes   int
}

// sizes returns what bounds the values, nil if nothing does.
func (e *entryOptions) sizes() *load.SizeLimit {
	if e.maxValueBytes <= 0 {
		return nil
	}
	return load.NewSizeLimit(e.maxValueBytes)
}

// resolve panics for what cannot be.
func (e *entryOptions) resolve() {
	if !(e.ttlJitter >= 0 && e.ttlJitter < 1) { // also not a number
		panic(fmt.Sprintf("cache: New: WithTTLJitter was given %v; give a fraction of the TTL in [0, 1), such as 0.1", e.ttlJitter))
	}
}

// WithTTLJitter shortens the TTL of each value at random, so that values which are stored together do not
// expire together: a value lives for TTL × (1 − a random number in [0, fraction)). The number is drawn
// once for a value, when it is stored, so that both levels keep it for the same time. It holds for a TTL,
// for the remote expiry, and for what Set, Once, MGet, MSet and refreshes store. In a remote that is no
// remote.ItemSetter, all values of a batch live equally long, because each lifetime is a call there.
//
// A value never lives longer than its TTL. Placeholders have a jitter of their own, WithOffset. Default,
// and for zero: none, because an original cache keeps a value for exactly its TTL. New panics unless
// fraction is in [0, 1). It has no effect on values without a TTL: on those that only the local level
// has, and that live for as long as the local store keeps its entries.
func WithTTLJitter(fraction float64) Option {
	return func(o *Options) { o.entry.ttlJitter = fraction }
}

// WithMaxValueBytes sets how many bytes the stored form of a value may have, which is what the codec makes
// of it. A larger value is not stored: Once, T.Get, MGet and refreshes return it to the callers of the
// load, and the next read loads it again. Set returns an ErrValueTooLarge, and MSet does so for each such
// value and stores the others. What the levels have of the key is older, and is removed from both, as by
// Delete; but SetNX leaves it. The local level does not keep a larger value that another node has put into the
// remote. Each such value is counted (stats.SizeCounter), and those that were loaded are logged at a
// bounded rate.
//
// Default, and for zero or less: no bound, because an original cache has none.
func WithMaxValueBytes(n int) Option { return func(o *Options) { o.entry.maxValueBytes = n } }

// WithMaxKeyBytes sets how many bytes a key may have, with the prefix of T. Every call for a longer key
// returns an ErrInvalidKey, and so does a batch for its id, while the others are read or stored. Errors
// and log lines never repeat more than the first 128 bytes of a key. Default, and for zero or less: no bound,
// because an original cache has none.
func WithMaxKeyBytes(n int) Option { return func(o *Options) { o.entry.maxKeyBytes = n } }
