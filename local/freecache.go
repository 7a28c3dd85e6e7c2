package local

import (
	"encoding/binary"
	"fmt"
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
	_ Local       = (*FreeCache)(nil)
	_ TTLSetter   = (*FreeCache)(nil)
	_ StaleKeeper = (*FreeCache)(nil)
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
	f.lifetime.init("NewFreeCache", ttl, a.clock)
	return f
}

// Key returns the name of key in the store. It is prefix:key, or key if the FreeCache has no prefix.
func (f *FreeCache) Key(key string) string {
	if f.prefix == "" {
		return key
	}
	return f.prefix + ":" + key
}

// Each value in the arena begins with a header, because freecache counts in whole seconds. It is the
// time until which Get returns the value, on the clock of the arena, rounded down to an even number. If
// it is made odd, the other times of the entry follow.
const (
	plainHeader = 8  // how many bytes the header of an entry of Set and SetWithTTL takes
	lifeHeader  = 24 // how many bytes that of an entry of SetWithLife takes
	lifeFollows = 1
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

// SetWithLife stores a copy of data under key for the times of life; see StaleKeeper. Such an entry
// takes 16 bytes of the arena more than one of Set.
func (f *FreeCache) SetWithLife(key string, data []byte, life Life) {
	if life.TTL < 0 {
		f.Del(key)
		return
	}
	t := f.timesOfLife(life)
	value := make([]byte, lifeHeader, lifeHeader+len(data))
	binary.LittleEndian.PutUint64(value, uint64(t.until)|lifeFollows)
	binary.LittleEndian.PutUint64(value[8:], uint64(t.loaded))
	binary.LittleEndian.PutUint32(value[16:], t.early)
	binary.LittleEndian.PutUint32(value[20:], t.stale)
	f.put(key, append(value, data...), t)
}

func (f *FreeCache) set(key string, data []byte, ttl time.Duration) {
	t := f.timesOf(ttl)
	value := make([]byte, plainHeader, plainHeader+len(data))
	binary.LittleEndian.PutUint64(value, uint64(t.until)&^lifeFollows)
	f.put(key, append(value, data...), t)
}

// put stores a value with its header.
func (f *FreeCache) put(key string, value []byte, t times) {
	var space [256]byte
	id := f.id(space[:0], key)
	seconds := 0 // without end
	if end := t.end(); end != forever {
		// freecache must not drop the entry before its end, and rounds times to seconds.
		seconds = int(min(time.Duration(end-f.now()), maxTTL)/time.Second) + 2
	}
	if f.arena.cache.Set(id, value, seconds) != nil { // too large
		f.arena.cache.Del(id)
	}
}

// timesIn returns the times in the header of a value, and the data that follow the header.
func timesIn(value []byte) (t times, data []byte) {
	header := binary.LittleEndian.Uint64(value)
	if t.until = int64(header &^ lifeFollows); t.until == forever&^lifeFollows {
		t.until = forever
	}
	if header&lifeFollows == 0 {
		t.loaded = forever // not known
		return t, value[plainHeader:]
	}
	t.loaded = int64(binary.LittleEndian.Uint64(value[8:]))
	t.early = binary.LittleEndian.Uint32(value[16:])
	t.stale = binary.LittleEndian.Uint32(value[20:])
	return t, value[lifeHeader:]
}

// Get returns a copy of the bytes that are stored under key.
func (f *FreeCache) Get(key string) (data []byte, ok bool) {
	var space [256]byte
	// GetFn reads the entry in place, so the header is not copied. It returns an error if the
	// arena does not have the key.
	_ = f.arena.cache.GetFn(f.id(space[:0], key), func(value []byte) error {
		t, in := timesIn(value)
		if ok = t.until == forever || f.now() < t.until; ok {
			data = append(make([]byte, 0, len(in)), in...)
		}
		return nil
	})
	return data, ok
}

// GetWithLife returns a copy of the bytes that are stored under key, and what of their life has
// passed; see StaleKeeper.
func (f *FreeCache) GetWithLife(key string) (l Lived, ok bool) {
	var space [256]byte
	_ = f.arena.cache.GetFn(f.id(space[:0], key), func(value []byte) error {
		t, in := timesIn(value)
		if l, ok = t.lived(f.now()); ok {
			l.Data = append(make([]byte, 0, len(in)), in...)
		}
		return nil
	})
	if !ok {
		return Lived{}, false
	}
	return l, true
}

// KeeperOf returns the store; see StaleKeeper.
func (f *FreeCache) KeeperOf() Local { return f }

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
