package cache

import "fmt"

// entryOptions are the options of what is stored. The zero value changes nothing.
type entryOptions struct {
	ttlJitter float64
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
