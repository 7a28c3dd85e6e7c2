package local

import (
	"math"
	"time"
)

// StaleKeeper is an optional ability of a Local: it keeps an entry for a while after its TTL, and
// tells how old it is. A cache can then return the stale value when a load fails, and load a value
// again before it expires. The stores of this package have it.
//
// Set, SetWithTTL and Del replace or remove the whole entry of a key, also if it is stale.
type StaleKeeper interface {
	// SetWithLife stores data under key for the times that life says, exact to the millisecond.
	SetWithLife(key string, data []byte, life Life)
	// GetWithLife returns the entry of key until its fresh and its stale time have passed. Get and
	// GetEntry return it only while it is fresh and not early. The caller must not change the data.
	GetWithLife(key string) (Lived, bool)
	// KeeperOf returns the store itself, as EntriesOf does. A cache uses this ability only if
	// KeeperOf returns a store of the same type as the one it was given.
	KeeperOf() Local
}

// Life says how long a store keeps an entry. The entry is fresh for its TTL and stale after that.
// The zero Life is that of Set.
type Life struct {
	// TTL is how long the entry is fresh, as in SetWithTTL: a shorter TTL of the store counts. 0 is
	// the store's TTL. SetWithLife removes the key if TTL is below zero.
	TTL time.Duration
	// Stale is how long the entry is kept beyond its fresh time, in whole milliseconds and at most
	// 49 days. Default: 0. It has no effect on an entry that does not expire.
	Stale time.Duration
	// Early is the last part of the fresh time, in whole milliseconds and at most 49 days. Within it,
	// Get and GetEntry do not return the entry any more, so that a cache looks closer. It is at
	// most half of the fresh time. Default: 0. It has no effect on an entry that does not expire.
	Early time.Duration
	// Loaded is when the value was loaded. It is at most the current time, which is the default.
	Loaded time.Time
}

// Lived is an entry, and how much of its life has passed.
type Lived struct {
	// Data are the stored bytes.
	Data []byte
	// Entry is the entry with these bytes, or nil if the store has no entries (see EntryGetter).
	Entry *Entry
	// Left is what is left of the fresh time. Below zero, it is how long the entry has been stale.
	// It is math.MaxInt64 if the entry does not expire.
	Left time.Duration
	// Age is the time since the value was loaded, or since it was stored if nobody said when it was
	// loaded. A FreeCache does not know it of an entry of Set or SetWithTTL. It is 0 then.
	Age time.Duration
}

// times are the times of an entry, on the clock of its store. They never change.
type times struct {
	until  int64  // Get returns the entry before it; forever if the entry does not expire
	loaded int64  // when the value was loaded
	early  uint32 // how long the entry is fresh after until, in milliseconds
	stale  uint32 // how long it is kept after that, in milliseconds
}

// fresh returns the end of the fresh time.
func (t *times) fresh() int64 { return after(t.until, time.Duration(t.early)*time.Millisecond) }

// end returns when the store removes the entry.
func (t *times) end() int64 { return after(t.fresh(), time.Duration(t.stale)*time.Millisecond) }

// plain reports whether Get returns the entry until its end.
func (t *times) plain() bool { return t.early == 0 && t.stale == 0 }

// lived returns what of the life has passed at the time now. ok is false if nothing is left.
func (t *times) lived(now int64) (l Lived, ok bool) {
	l.Age = time.Duration(max(now-t.loaded, 0))
	if t.until == forever {
		l.Left = math.MaxInt64
		return l, true
	}
	l.Left = time.Duration(t.fresh() - now)
	return l, now < t.end()
}

// millis returns d in whole milliseconds, within the limits of what times can hold.
func millis(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), math.MaxUint32))
}
