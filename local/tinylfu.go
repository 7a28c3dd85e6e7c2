package local

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/mgtv-tech/jetcache-go/internal/gate"
)

// TinyLFU is a Local that is bounded by a number of entries. When it is full, it evicts the entries
// that were read least often (ristretto's TinyLFU admission and sampled-LFU eviction). Two in five
// entries are the newest ones, which stay however seldom they were read. It stores values without
// a copy. Its methods may be called concurrently.
//
// An entry can be read as soon as Set returns. Writes wait for each other. A write that moves an
// older entry into ristretto also waits for ristretto's queue.
type TinyLFU struct {
	lifetime
	gate gate.Gate // no call may use ristretto during or after its Close

	// An entry is in the window or in the main store. During its move it is in both.
	window *window
	main   *ristretto.Cache[string, *Entry]
	mu     sync.Mutex // held by the one call that writes
}

var (
	_ Local       = (*TinyLFU)(nil)
	_ TTLSetter   = (*TinyLFU)(nil)
	_ EntryGetter = (*TinyLFU)(nil)
	_ StaleKeeper = (*TinyLFU)(nil)
)

// windowPercent is the part of the entries that are in the window. On the traces of two web shops,
// 20 to 60 give the best hit ratios, and 40 is always close to the best.
const windowPercent = 40

// windowSize returns how many of size entries are in the window.
func windowSize(size int) int {
	return max(1, size/100*windowPercent+size%100*windowPercent/100) // in this order nothing overflows
}

// countersPerEntry returns how many frequency counters ristretto has for each entry. Its
// documentation recommends ten. With thirty, hit ratios are up to three points better, but a store
// takes 64 bytes more for each entry, so large stores have ten.
func countersPerEntry(size int) int64 {
	if size > 1<<16 {
		return 10
	}
	return 30
}

// NewTinyLFU returns a store for about size entries. Entries live for ttl plus the jitter that
// UseRandomizedTTL describes, and 0 means that they do not expire. The store takes some memory for
// its size, and the rest for the values that it has. NewTinyLFU panics if size is less than 1 or
// ttl is negative.
//
// The store has two goroutines. They end with Close, or when the store is no longer reachable.
func NewTinyLFU(size int, ttl time.Duration) *TinyLFU {
	if size < 1 {
		panic(fmt.Sprintf("local: NewTinyLFU: the size is %d; give the number of entries to hold, 1 or more", size))
	}
	window := windowSize(size)
	t := &TinyLFU{}
	t.lifetime.init("NewTinyLFU", ttl, newClock())
	t.window = newWindow(window, t.clock)
	main, err := ristretto.NewCache(&ristretto.Config[string, *Entry]{
		NumCounters: countersPerEntry(size) * int64(size),
		MaxCost:     int64(max(1, size-window)), // each entry costs 1
		BufferItems: 64,
		// By default, ristretto adds 56 units of its own to the cost of each entry, and a store
		// for 1,000 entries would hold 17.
		IgnoreInternalCost: true,
		// Expired entries take places until ristretto removes them. With this it looks for them
		// every second, not every 2.5.
		TtlTickerDurationInSec: 2,
	})
	if err != nil {
		panic(fmt.Sprintf("local: NewTinyLFU(%d): %v", size, err))
	}
	t.main = main
	runtime.AddCleanup(t, func(s *ristretto.Cache[string, *Entry]) { go s.Close() }, main)
	return t
}

// Set stores data under key for the store's TTL. It does nothing after Close.
func (t *TinyLFU) Set(key string, data []byte) { t.set(key, data, t.next()) }

// SetWithTTL stores data under key for ttl at most; see TTLSetter. It does nothing after Close.
func (t *TinyLFU) SetWithTTL(key string, data []byte, ttl time.Duration) {
	if ttl <= 0 {
		t.Del(key)
		return
	}
	t.set(key, data, t.atMost(ttl))
}

// SetWithLife stores data under key for the times of life; see StaleKeeper. It does nothing after
// Close.
func (t *TinyLFU) SetWithLife(key string, data []byte, life Life) {
	if life.TTL < 0 {
		t.Del(key)
		return
	}
	t.put(key, newEntry(data, t.timesOfLife(life)))
}

func (t *TinyLFU) set(key string, data []byte, ttl time.Duration) {
	t.put(key, newEntry(data, t.timesOf(ttl)))
}

// put writes one entry into the main store if that has the key, and into the window otherwise.
func (t *TinyLFU) put(key string, entry *Entry) {
	pass, ok := t.gate.Enter()
	if !ok {
		return
	}
	defer t.gate.Leave(pass)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replaceInMain(key, entry) {
		return
	}
	t.window.put(key, entry)
	for s := t.window.excess(); s != nil; s = t.window.excess() {
		t.move(s)
	}
}

// replaceInMain writes an entry whose key is in the main store. It reports whether the main store
// has the entry now.
func (t *TinyLFU) replaceInMain(key string, entry *Entry) bool {
	if _, ok := t.main.Get(key); !ok {
		return false
	}
	if t.setInMain(key, entry) {
		if current, ok := t.main.Get(key); ok && current == entry {
			return true
		}
	}
	// The new entry has just expired, or the old entry has just expired or been evicted. Whether ristretto will accept the new one
	// is not known, so it must not have the key at all.
	t.main.Wait()
	t.main.Del(key)
	return false
}

// move moves an entry from the window to the main store. The entry is dropped if the main store
// does not accept it.
func (t *TinyLFU) move(s *slot) {
	if t.setInMain(s.key, s.entry) {
		// Wait until it can be read: if two new values of one key were in ristretto's queue at
		// the same time, ristretto would keep the older one.
		t.main.Wait()
	}
	t.window.remove(s.key)
}

// setInMain puts an entry into the queue of the main store, which keeps it until its end. It reports
// false if the queue is full, or if the entry has ended.
func (t *TinyLFU) setInMain(key string, entry *Entry) bool {
	ttl := time.Duration(0) // without end
	if end := entry.end(); end != forever {
		if ttl = time.Duration(end - t.now()); ttl <= 0 {
			return false
		}
	}
	if ttl > 1 {
		ttl-- // ristretto still has an entry at the last nanosecond of its TTL
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

// GetEntry returns the Entry of key; see EntryGetter.
func (t *TinyLFU) GetEntry(key string) (*Entry, bool) {
	pass, ok := t.gate.Enter()
	if !ok {
		return nil, false
	}
	defer t.gate.Leave(pass)
	// The window is read first: an entry that moves is in the main store before it leaves the
	// window. The main store is read in any case, because it counts the reads of each key.
	inWindow, now := t.window.get(key)
	inMain, ok := t.main.Get(key)
	switch {
	case inWindow != nil:
		return inWindow.readable(now)
	case !ok:
		return nil, false
	case inMain.plain(): // ristretto has looked at its end
		return inMain, true
	default:
		return inMain.readable(t.now())
	}
}

// GetWithLife returns the entry of key and what of its life has passed; see StaleKeeper.
func (t *TinyLFU) GetWithLife(key string) (Lived, bool) {
	pass, ok := t.gate.Enter()
	if !ok {
		return Lived{}, false
	}
	defer t.gate.Leave(pass)
	e, _ := t.window.get(key)
	if inMain, ok := t.main.Get(key); e == nil && ok {
		e = inMain
	}
	if e == nil {
		return Lived{}, false
	}
	return e.lived(t.now())
}

// KeeperOf returns the store; see StaleKeeper.
func (t *TinyLFU) KeeperOf() Local { return t }

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

// Close drops all entries and ends the store's goroutines. The store is empty from then on. Close
// may be called more than once and by any goroutine.
func (t *TinyLFU) Close() {
	if t.gate.Close() {
		t.main.Close()
		t.window.clear()
	}
}
