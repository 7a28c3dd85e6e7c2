package local

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// FreeCache is a Local in one block of memory, its arena, which the garbage collector does not scan
// (coocood/freecache). Entries are copied in and out. Several FreeCaches may share an arena, and
// never read each other's entries. Its methods may be called concurrently. It has no goroutine, and
// there is nothing to close.
type FreeCache struct {
	lifetime
	arena  *Arena
	number uint32 // begins the arena's keys of its entries, so that no other FreeCache has them
	prefix string // the innerKeyPrefix
}

var (
	_ Local     = (*FreeCache)(nil)
	_ TTLSetter = (*FreeCache)(nil)
)

// NewFreeCache returns a store in the arena of the process, which all such stores share. The first
// call allocates the arena, and its size holds for all. It is in bytes. Outside 512KB…8GB, and on a
// 32-bit platform from 2GB on, it is 256MB. The size of later calls has no effect. Use NewArena for
// a FreeCache with memory of its own.
//
// Entries live for ttl plus the jitter that UseRandomizedTTL describes. 0 means that they do not
// expire, and (0,1s) becomes 1s. A TTL is at most 34 years. Key puts innerKeyPrefix in front of
// keys. NewFreeCache panics if size or ttl is negative.
func NewFreeCache(size Size, ttl time.Duration, innerKeyPrefix ...string) *FreeCache {
	if size < 0 {
		panic(fmt.Sprintf("local: NewFreeCache: the size is %d bytes; give 512KB to 8GB, or 0 for 256MB", size))
	}
	processArena.once.Do(func() { processArena.arena = NewArena(size) })
	return processArena.arena.NewFreeCache(ttl, innerKeyPrefix...)
}

// NewFreeCache returns a store in this arena. The arguments are those of the function NewFreeCache.
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

// Key returns the name of key in the store. It is prefix:key, or key if the FreeCache has no prefix.
func (f *FreeCache) Key(key string) string {
	if f.prefix == "" {
		return key
	}
	return f.prefix + ":" + key
}

// Each value in the arena begins with a deadline, in nanoseconds of the arena's clock, because
// freecache counts in whole seconds.
const (
	deadlineSize = 8             // how many bytes it takes
	noDeadline   = math.MaxInt64 // the deadline of an entry that does not expire
)

// maxTTL is the longest TTL, about 34 years. freecache keeps the time of expiry as the number of
// seconds since 1970 in 32 bits, which must not overflow.
const maxTTL = (1 << 30) * time.Second

// Set stores a copy of data under key for the store's TTL. An entry that is too large for the arena
// is not stored, and the old entry of the key is removed.
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
		// freecache must not drop the entry before its deadline, and rounds times to seconds.
		seconds = int(ttl/time.Second) + 2
	}
	binary.LittleEndian.PutUint64(value, uint64(deadline))
	value = append(value, data...)
	if f.arena.cache.Set(id, value, seconds) != nil { // too large
		f.arena.cache.Del(id)
	}
}

// Get returns a copy of the bytes that are stored under key.
func (f *FreeCache) Get(key string) (data []byte, ok bool) {
	var space [256]byte
	// GetFn reads the entry in place, so the deadline is not copied. It returns an error if the
	// arena does not have the key.
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

// id appends the arena's key to buf: the number of the store, and then the text of Key.
func (f *FreeCache) id(buf []byte, key string) []byte {
	buf = binary.BigEndian.AppendUint32(buf, f.number)
	if f.prefix != "" {
		buf = append(buf, f.prefix...)
		buf = append(buf, ':')
	}
	return append(buf, key...)
}
