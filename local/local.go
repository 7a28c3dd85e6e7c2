// Package local holds the in-process level of a cache: what it asks of a store,
// and three stores, Otter, TinyLFU and FreeCache.
package local

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/jitter"
)

// Local is an in-process store of bytes. Implementations must be safe for
// concurrent use, and must not call back into the cache that uses them. The suite
// in local/localtest says what else is expected.
//
// A store may forget any entry at any time. It must never return an entry after
// Del or a later Set of its key.
type Local interface {
	// Set stores data under key, for as long as the store keeps its entries. The
	// store may keep data itself, but must not change it, nor may the caller afterwards.
	Set(key string, data []byte)
	// Get returns what is stored under key. The caller must not change the result.
	Get(key string) ([]byte, bool)
	// Del removes key, if it is there.
	Del(key string)
}

// TTLSetter is an optional ability of a Local: entries with a lifetime of their
// own. The stores of this package have it. A cache over a store without it cannot
// keep its promise that a local entry lives no longer than its item's TTL.
type TTLSetter interface {
	// SetWithTTL is Set for an entry that lives for ttl at most, exact to the
	// millisecond, or for less if the store's own lifetime is shorter. A ttl of
	// zero or less removes the key.
	SetWithTTL(key string, data []byte, ttl time.Duration)
}

// EntryGetter is an optional ability of a Local: it keeps what it is given as an Entry, in
// which a cache can leave the decoded value, so that later hits need not decode. Otter and
// TinyLFU have it. Reads of a typed cache then call GetEntry instead of Get.
type EntryGetter interface {
	// GetEntry is Get for the whole entry: the same one until the next Set, SetWithTTL or
	// Del of the key. The store must not keep the key that it is given here: the caller may
	// use its memory for something else afterwards.
	GetEntry(key string) (*Entry, bool)
	// EntriesOf returns the store itself. A type that embeds a store has its methods, but is
	// another one, with a Get of its own, perhaps: a cache calls GetEntry only of a store
	// that EntriesOf names.
	EntriesOf() Local
}

// EntryReplacer is an optional ability of a Local that keeps entries: to put another entry in
// the place of one. A cache then lets the entry and the value that is kept lie in one piece of
// memory, which makes hits faster. Otter has it.
type EntryReplacer interface {
	// ReplaceEntry puts e, which has the same bytes as old, in the place of old, for as long
	// as old would have stayed. It does nothing if the key has another entry than old, or
	// none. It reports whether it did.
	ReplaceEntry(key string, old, e *Entry) bool
}

// Dated is an optional ability of a Local: it tells how old its entries can be. The stores of
// this package have it. A cache that has missed messages from other nodes trusts no entry that
// is older; with this it knows when there are none left, and that a new store has none.
type Dated interface {
	// NoneBefore returns a time before which nothing was stored that the store still has; now
	// if nothing was stored at all, and the zero time if it does not know.
	NoneBefore() time.Time
}

// Size is a number of bytes.
type Size int64

// Units of Size.
const (
	Byte Size = 1
	KB        = 1024 * Byte
	MB        = 1024 * KB
	GB        = 1024 * MB
	TB        = 1024 * GB
)

// lifetime is how long a store keeps an entry: a TTL and a random spread.
type lifetime struct {
	ttl    time.Duration // 0: entries do not expire
	spread atomic.Int64  // in nanoseconds

	widest atomic.Int64              // the largest spread there was
	first  atomic.Pointer[time.Time] // when the first entry was stored; nil: none was
}

// set sets the TTL and its default spread; it panics for a negative one.
func (l *lifetime) set(constructor string, ttl time.Duration) {
	if ttl < 0 {
		panic(fmt.Sprintf("local: %s: the ttl is %s; give 0 for entries that do not expire", constructor, ttl))
	}
	l.ttl = ttl
	l.UseRandomizedTTL(jitter.Default(ttl))
}

// UseRandomizedTTL sets the jitter: each entry lives for the store's TTL plus a
// random duration in [0, offset), so that what was stored together does not expire
// together. Default: a tenth of the TTL, 10s at most; zero or less turns the jitter
// off. It has no effect on a store whose entries do not expire, and never makes an
// entry outlive a TTL of its own. It may be called at any time.
func (l *lifetime) UseRandomizedTTL(offset time.Duration) {
	for {
		widest := l.widest.Load()
		if int64(offset) <= widest || l.widest.CompareAndSwap(widest, int64(offset)) {
			break
		}
	}
	l.spread.Store(int64(offset))
}

// NoneBefore returns a time before which nothing was stored that the store still has; see
// Dated.
func (l *lifetime) NoneBefore() time.Time {
	now := time.Now()
	first := l.first.Load()
	if first == nil {
		return now
	}
	if l.ttl > 0 {
		if oldest := now.Add(-l.ttl - time.Duration(l.widest.Load())); oldest.After(*first) {
			return oldest
		}
	}
	return *first
}

// next returns how long an entry stored now lives; 0 means without end.
func (l *lifetime) next() time.Duration {
	if l.first.Load() == nil {
		now := time.Now()
		l.first.CompareAndSwap(nil, &now)
	}
	if l.ttl == 0 {
		return 0
	}
	return jitter.Add(l.ttl, time.Duration(l.spread.Load()))
}

// atMost is next for an entry that lives for ttl (above zero) at most.
func (l *lifetime) atMost(ttl time.Duration) time.Duration {
	if own := l.next(); own > 0 {
		return min(own, ttl)
	}
	return ttl
}
