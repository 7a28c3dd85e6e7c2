package local

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/mgtv-tech/jetcache-go/internal/gate"
)

// TinyLFU is a Local that holds a number of entries and keeps those that are asked
// for most (ristretto's TinyLFU admission and sampled-LFU eviction). Two in five of the
// entries are the newest, which are kept whatever their frequency. Values are kept as they
// are, without a copy.
//
// A Set is visible when it returns. Writes wait for each other, and for ristretto's queue
// when they move an older entry there.
type TinyLFU struct {
	lifetime
	gate gate.Gate // ristretto must not be used while or after it closes

	// An entry is in the window or in the main store; while it moves, in both.
	window *window
	main   *ristretto.Cache[string, *Entry]
	mu     sync.Mutex // held by who writes
}

var (
	_ Local       = (*TinyLFU)(nil)
	_ TTLSetter   = (*TinyLFU)(nil)
	_ EntryGetter = (*TinyLFU)(nil)
)

// windowPercent is the part of the entries that are in the window. Measured on traces of two
// web shops, 20 to 60 give the best ratios of hits, and 40 is never far from the best.
const windowPercent = 40

// windowSize returns how many of size entries are in the window.
func windowSize(size int) int {
	return max(1, size/100*windowPercent+size%100*windowPercent/100) // in this order nothing overflows
}

// countersPerEntry is how many of ristretto's frequency counters there are for an entry. Its
// documentation recommends ten; with thirty the ratios of hits are up to three points better,
// which large stores do without: it is 64 bytes for each entry.
func countersPerEntry(size int) int64 {
	if size > 1<<16 {
		return 10
	}
	return 30
}

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
	window := windowSize(size)
	t := &TinyLFU{window: newWindow(window)}
	t.lifetime.init("NewTinyLFU", ttl)
	main, err := ristretto.NewCache(&ristretto.Config[string, *Entry]{
		NumCounters: countersPerEntry(size) * int64(size),
		MaxCost:     int64(max(1, size-window)), // each entry costs 1 …
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
	t.main = main
	runtime.AddCleanup(t, func(s *ristretto.Cache[string, *Entry]) { go s.Close() }, main)
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

// set writes one entry: into the main store if the key is there, otherwise into the window.
func (t *TinyLFU) set(key string, data []byte, ttl time.Duration) {
	pass, ok := t.gate.Enter()
	if !ok {
		return
	}
	defer t.gate.Leave(pass)
	t.mu.Lock()
	defer t.mu.Unlock()
	entry := NewEntry(data)
	if t.replace(key, entry, ttl) {
		return
	}
	t.window.put(key, entry, ttl)
	for s := t.window.excess(); s != nil; s = t.window.excess() {
		t.move(s)
	}
}

// replace writes an entry whose key is in the main store; it reports false if it is not.
func (t *TinyLFU) replace(key string, entry *Entry, ttl time.Duration) bool {
	if _, ok := t.main.Get(key); !ok {
		return false
	}
	t.store(key, entry, ttl)
	if there, ok := t.main.Get(key); ok && there == entry {
		return true
	}
	// It has just expired or given way, and the new one may or may not have been accepted.
	t.main.Wait()
	t.main.Del(key)
	return false
}

// move moves an entry from the window to the main store, which may refuse it.
func (t *TinyLFU) move(s *slot) {
	if ttl, ok := s.left(); ok {
		if t.store(s.key, s.entry, ttl) {
			// Until it can be read: of two new values for one key that wait in ristretto's
			// queue together, it would keep the older.
			t.main.Wait()
		}
	}
	t.window.remove(s.key)
}

// store puts an entry into the main store; it reports false if the queue was full.
func (t *TinyLFU) store(key string, entry *Entry, ttl time.Duration) bool {
	if ttl > 1 {
		ttl-- // ristretto counts the last nanosecond in
	}
	return t.main.SetWithTTL(key, entry, 1, ttl)
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
	defer t.gate.Leave(pass)
	// In this order: what moves is in the main store before it leaves the window. The main
	// store is asked in any case, as it counts how often.
	newest, there := t.window.get(key)
	older, ok := t.main.Get(key)
	if there {
		return newest, true
	}
	return older, ok
}

// EntriesOf returns the store; see EntryGetter.
func (t *TinyLFU) EntriesOf() Local { return t }

// Del removes key.
func (t *TinyLFU) Del(key string) {
	pass, ok := t.gate.Enter()
	if !ok {
		return
	}
	defer t.gate.Leave(pass)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.window.remove(key)
	t.main.Del(key)
}

// Close drops all entries and ends the store's goroutines. Afterwards the store is
// empty and stays so. It is safe to call more than once and from any goroutine.
func (t *TinyLFU) Close() {
	if t.gate.Close() {
		t.main.Close()
		t.window.clear()
	}
}
