// Package local holds the in-process level of a cache: what it asks of a store,
// and three stores, Otter, TinyLFU and FreeCache.
package local

import "time"

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
