package local

import (
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/mgtv-tech/jetcache-go/internal/gate"
)

// TinyLFU is a Local that holds a number of entries and keeps those that are asked
// for most (ristretto's TinyLFU admission and sampled-LFU eviction). Values are kept
// as they are, without a copy.
//
// A new key may be refused when the store is full of keys that are asked for more
// often. A Set that was accepted is visible when Set returns.
type TinyLFU struct {
	lifetime
	store *ristretto.Cache[string, *Entry]
	gate  gate.Gate // ristretto must not be used while or after it closes

	seed  maphash.Seed
	locks [64]sync.Mutex // by key: one write of a key at a time
}

var (
	_ Local       = (*TinyLFU)(nil)
	_ TTLSetter   = (*TinyLFU)(nil)
	_ EntryGetter = (*TinyLFU)(nil)
)

// countersPerEntry is how many of ristretto's frequency counters there are for an
// entry; its documentation recommends ten.
const countersPerEntry = 10

// NewTinyLFU returns a store of about size entries that live for ttl; 0 means that
// they do not expire. Its memory follows size and the values. It panics if size is
// less than 1 or ttl is negative.
//
// The store runs two goroutines. They end with Close, or when the store is no longer
// reachable.
func NewTinyLFU(size int, ttl time.Duration) *TinyLFU {
	if size < 1 {
		panic(fmt.Sprintf("local: NewTinyLFU: the size is %d; give the number of entries to hold, 1 or more", size))
	}
	t := &TinyLFU{seed: maphash.MakeSeed()}
	t.lifetime.set("NewTinyLFU", ttl)
	store, err := ristretto.NewCache(&ristretto.Config[string, *Entry]{
		NumCounters: countersPerEntry * int64(size),
		MaxCost:     int64(size), // each entry costs 1 …
		BufferItems: 64,
		// … and nothing else: ristretto otherwise adds 56 units of its own to the
		// cost of each entry, and a store for 1,000 would hold 17.
		IgnoreInternalCost: true,
		// Look for expired entries every second, not every 2.5: they still count
		// against size.
		TtlTickerDurationInSec: 2,
	})
	if err != nil {
		panic(fmt.Sprintf("local: NewTinyLFU(%d): %v", size, err))
	}
	t.store = store
	runtime.AddCleanup(t, func(s *ristretto.Cache[string, *Entry]) { go s.Close() }, store)
	return t
}

// Set stores data under key for the store's TTL.
func (t *TinyLFU) Set(key string, data []byte) { t.set(key, data, t.next()) }

// SetWithTTL stores data under key for ttl at most; see TTLSetter.
func (t *TinyLFU) SetWithTTL(key string, data []byte, ttl time.Duration) {
	if ttl <= 0 {
		t.Del(key)
		return
	}
	t.set(key, data, t.atMost(ttl))
}

// set writes one entry. The lock makes up for a race in ristretto: of two new values
// for one key that wait in its queue together, it keeps the older.
func (t *TinyLFU) set(key string, data []byte, ttl time.Duration) {
	pass, ok := t.gate.Enter()
	if !ok {
		return
	}
	defer t.gate.Leave(pass)
	mu := t.lock(key)
	mu.Lock()
	defer mu.Unlock()
	if ttl > 1 {
		ttl-- // ristretto counts the last nanosecond in
	}
	entry := NewEntry(data)
	if !t.store.SetWithTTL(key, entry, 1, ttl) {
		t.store.Wait() // its queue was full
		t.store.SetWithTTL(key, entry, 1, ttl)
	}
	t.store.Wait() // until it can be read
}

// Get returns what is stored under key.
func (t *TinyLFU) Get(key string) ([]byte, bool) {
	e, ok := t.GetEntry(key)
	if !ok {
		return nil, false
	}
	return e.Data(), true
}

// GetEntry returns the entry of key; see EntryGetter.
func (t *TinyLFU) GetEntry(key string) (*Entry, bool) {
	pass, ok := t.gate.Enter()
	if !ok {
		return nil, false
	}
	e, ok := t.store.Get(key)
	t.gate.Leave(pass)
	return e, ok
}

// Del removes key.
func (t *TinyLFU) Del(key string) {
	pass, ok := t.gate.Enter()
	if !ok {
		return
	}
	defer t.gate.Leave(pass)
	mu := t.lock(key)
	mu.Lock()
	defer mu.Unlock()
	t.store.Del(key)
}

// lock returns the mutex of key.
func (t *TinyLFU) lock(key string) *sync.Mutex {
	return &t.locks[maphash.String(t.seed, key)%uint64(len(t.locks))]
}

// Close drops all entries and ends the store's goroutines. Afterwards the store is
// empty and stays so. It is safe to call more than once and from any goroutine.
func (t *TinyLFU) Close() {
	if t.gate.Close() {
		t.store.Close()
	}
}
