// Package local has the in-process level of a cache: the interface of a store, and three stores
// that implement it, Otter, TinyLFU and FreeCache.
package local

import "time"

// Local is an in-process store of bytes. Implementations must be safe for concurrent use, and
// they must not call the cache that uses them. The suite in local/localtest checks what else a
// cache relies on.
//
// A store may drop any entry at any time. It must never return an entry after Del or a later Set
// of its key.
type Local interface {
	// Set stores data under key for as long as the store keeps its entries. The store may keep
	// data itself. Afterwards neither the store nor the caller may change it.
	Set(key string, data []byte)
	// Get returns what is stored under key, and whether there is anything. The caller must not
	// change the result.
	Get(key string) ([]byte, bool)
	// Del removes key. It does nothing if the store does not have the key.
	Del(key string)
}

// TTLSetter is an optional ability of a Local: each entry can have a TTL of its own. The stores of
// this package have it. With a store that lacks it, a local entry may live longer than the TTL of
// its item.
//
// A type that embeds a store of this package has its SetWithTTL. If the type has a Set of its own, it
// needs a SetWithTTL of its own, too: the cache calls that one.
type TTLSetter interface {
	// SetWithTTL is Set for an entry that lives for ttl at most, exact to the millisecond. It
	// lives shorter if the store's own TTL is shorter. If ttl is zero or less, SetWithTTL removes
	// the key.
	SetWithTTL(key string, data []byte, ttl time.Duration)
}

// EntryGetter is an optional ability of a Local: it stores bytes as an Entry. A cache can leave
// the decoded value in the Entry, so that later hits need not decode. Otter and TinyLFU have this
// ability. Reads of a typed cache then call GetEntry instead of Get.
type EntryGetter interface {
	// GetEntry is Get for the whole entry. It returns the same Entry until the next Set,
	// SetWithTTL or Del of the key. The store must not keep the string key: the caller may use
	// its memory for something else afterwards.
	GetEntry(key string) (*Entry, bool)
	// EntriesOf returns the store itself. A type that embeds a store has the methods of the
	// store, but it may have a Get of its own. A cache calls GetEntry only if EntriesOf returns a
	// store of the same type as the one it was given.
	EntriesOf() Local
}

// EntryReplacer is an optional ability of a Local that stores entries: it can replace one Entry
// by another. A cache then puts the Entry and its decoded value into one piece of memory, which
// makes hits faster. Otter has this ability.
type EntryReplacer interface {
	// ReplaceEntry replaces old by e, which has the same bytes and ends when old would have
	// ended. It does nothing if old is no longer the entry of the key. It reports whether it has
	// replaced old.
	ReplaceEntry(key string, old, e *Entry) bool
}

// Dated is an optional ability of a Local: it tells how old its entries can be. The stores of
// this package have it. After a cache has missed messages from other nodes, it does not trust
// older local entries. With this ability, it knows when there are no such entries left, and that
// a new store has none.
type Dated interface {
	// NoneBefore returns a time that no entry of the store is older than. It returns the current
	// time if nothing was ever stored, and the zero time if the store does not know.
	NoneBefore() time.Time
}
