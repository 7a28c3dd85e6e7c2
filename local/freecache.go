package local

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// FreeCache is a Local in one block of memory that the garbage collector does not
// scan (coocood/freecache): entries are copied in and out. Any number of FreeCaches
// may share the block; they never see each other's entries.
type FreeCache struct {
	lifetime
	arena  *Arena
	number uint32 // tells its entries from those of other FreeCaches of the arena
	prefix string
}

var (
	_ Local     = (*FreeCache)(nil)
	_ TTLSetter = (*FreeCache)(nil)
)

// NewFreeCache returns a store in the arena that all FreeCaches of the process share,
// whatever their number. The first call allocates the arena; its size is the one asked
// for then: in bytes, and outside 512KB…8GB it is 256MB. Later sizes have no effect.
// NewArena gives a FreeCache memory of its own.
//
// ttl is how long entries live: 0 means that they do not expire, and (0,1s) becomes
// 1s. innerKeyPrefix is what Key puts in front of keys. It panics if size or ttl is
// negative.
func NewFreeCache(size Size, ttl time.Duration, innerKeyPrefix ...string) *FreeCache {
	if size < 0 {
		panic(fmt.Sprintf("local: NewFreeCache: the size is %d bytes; give 512KB to 8GB, or 0 for 256MB", size))
	}
	processArena.once.Do(func() { processArena.arena = NewArena(size) })
	return processArena.arena.NewFreeCache(ttl, innerKeyPrefix...)
}

// NewFreeCache returns a store in this arena. The arguments are those of the function
// NewFreeCache.
func (a *Arena) NewFreeCache(ttl time.Duration, innerKeyPrefix ...string) *FreeCache {
	f := &FreeCache{arena: a, number: a.stores.Add(1)}
	if len(innerKeyPrefix) > 0 {
		f.prefix = innerKeyPrefix[0]
	}
	if ttl > 0 {
		ttl = max(ttl, time.Second)
	}
	f.lifetime.init("NewFreeCache", ttl)
	return f
}

// Key returns the text that names key in the store: prefix:key, or key alone if the
// FreeCache has no prefix.
func (f *FreeCache) Key(key string) string {
	if f.prefix == "" {
		return key
	}
	return f.prefix + ":" + key
}

// deadlineSize is the length of the moment of expiry that precedes each value, in
// nanoseconds of the arena's clock. freecache itself counts in whole seconds.
const deadlineSize = 8

// noDeadline is that of entries that do not expire.
const noDeadline = math.MaxInt64

// maxTTL keeps sums of times within what they are stored in; it is 34 years.
const maxTTL = (1 << 30) * time.Second

// Set stores a copy of data under key for the store's TTL. An entry too large for the
// arena is not stored, and the one it should have replaced is removed.
func (f *FreeCache) Set(key string, data []byte) { f.set(key, data, f.next()) }

// SetWithTTL stores a copy of data under key for ttl at most; see TTLSetter.
func (f *FreeCache) SetWithTTL(key string, data []byte, ttl time.Duration) {
	if ttl <= 0 {
		f.Del(key)
		return
	}
	f.set(key, data, f.atMost(ttl))
}

func (f *FreeCache) set(key string, data []byte, ttl time.Duration) {
	var space [256]byte
	id := f.id(space[:0], key)
	value := make([]byte, deadlineSize, deadlineSize+len(data))
	deadline, seconds := int64(noDeadline), 0
	if ttl > 0 {
		ttl = min(ttl, maxTTL)
		deadline = f.arena.now() + int64(ttl)
		// Its clock may be up to a second ahead of the deadline's fraction.
		seconds = int(ttl/time.Second) + 2
	}
	binary.LittleEndian.PutUint64(value, uint64(deadline))
	value = append(value, data...)
	if f.arena.cache.Set(id, value, seconds) != nil { // too large
		f.arena.cache.Del(id)
	}
}

// Get returns a copy of what is stored under key.
func (f *FreeCache) Get(key string) (data []byte, ok bool) {
	var space [256]byte
	// GetFn sees the entry in place, so the deadline costs no copy; its error is that
	// of a key that is not there.
	_ = f.arena.cache.GetFn(f.id(space[:0], key), func(value []byte) error {
		deadline := int64(binary.LittleEndian.Uint64(value))
		if ok = deadline == noDeadline || f.arena.now() < deadline; ok {
			data = append(make([]byte, 0, len(value)-deadlineSize), value[deadlineSize:]...)
		}
		return nil
	})
	return data, ok
}

// Del removes key.
func (f *FreeCache) Del(key string) {
	var space [256]byte
	f.arena.cache.Del(f.id(space[:0], key))
}

// id appends to buf the arena's name for key: the store's number, then Key's text.
func (f *FreeCache) id(buf []byte, key string) []byte {
	buf = binary.BigEndian.AppendUint32(buf, f.number)
	if f.prefix != "" {
		buf = append(buf, f.prefix...)
		buf = append(buf, ':')
	}
	return append(buf, key...)
}
