package local

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Otter is a Local that is bounded by a number of entries or of bytes. When it is full, it evicts
// the entries that were read least often and least recently (otter's W-TinyLFU with an adaptive
// window). It stores values without a copy. Its methods may be called concurrently.
//
// An entry can be read as soon as Set returns. Eviction runs in the background, so a store that is
// written to without a pause may hold somewhat more than its size for a moment.
type Otter struct {
	lifetime
	store  *otter.Cache[string, *Entry]
	coarse *otterClock
	closed atomic.Bool
}

var (
	_ Local         = (*Otter)(nil)
	_ TTLSetter     = (*Otter)(nil)
	_ EntryGetter   = (*Otter)(nil)
	_ EntryReplacer = (*Otter)(nil)
	_ StaleKeeper   = (*Otter)(nil)
)

// NewOtter returns a store for about size entries. Entries live for ttl plus the jitter that
// UseRandomizedTTL describes, and 0 means that they do not expire. The store takes memory for the
// entries that it has, not for its size. NewOtter panics if size is less than 1 or ttl is negative.
//
// The store has one goroutine, and others for moments. They end with Close, or within about a
// second after the store is no longer reachable. With testing/synctest, make the store in the bubble.
func NewOtter(size int, ttl time.Duration) *Otter {
	if size < 1 {
		panic(fmt.Sprintf("local: NewOtter: the size is %d; give the number of entries to hold, 1 or more", size))
	}
	return newOtter("NewOtter", ttl, otter.Options[string, *Entry]{MaximumSize: size})
}

// NewOtterBytes is NewOtter for a store that is bounded by memory: size is the number of bytes that
// keys, values and the store's own records of them may take. The decoded values that a cache keeps
// in the entries are not counted, so leave room for them. An entry that is larger than size is not
// kept. NewOtterBytes panics if size is less than 1 or ttl is negative.
func NewOtterBytes(size Size, ttl time.Duration) *Otter {
	if size < 1 {
		panic(fmt.Sprintf("local: NewOtterBytes: the size is %d; give the number of bytes to hold, 1 or more", size))
	}
	return newOtter("NewOtterBytes", ttl, otter.Options[string, *Entry]{MaximumWeight: uint64(size), Weigher: weight})
}

// entryOverhead is about how many bytes otter and an Entry take for each key. The benchmark of
// memory per entry measures it.
const entryOverhead = 176

// weight returns how many bytes an entry takes.
func weight(key string, e *Entry) uint32 {
	return uint32(min(entryOverhead+uint64(len(key))+uint64(len(e.data)), math.MaxUint32))
}

func newOtter(constructor string, ttl time.Duration, o otter.Options[string, *Entry]) *Otter {
	t := &Otter{}
	t.lifetime.init(constructor, ttl, newClock())
	t.coarse = &otterClock{exact: t.clock}
	o.Clock = t.coarse
	o.ExpiryCalculator = otter.ExpiryWritingFunc(removeAfter)
	t.store = otter.Must(&o)
	return t
}

// removeAfter returns after which time otter removes an entry that is written. It is at its end, or
// somewhat later if otter would have removed the old entry only a little later: otter writes an
// entry in place only if its deadline does not move to an earlier time.
func removeAfter(e otter.Entry[string, *Entry]) time.Duration {
	end := e.Value.end()
	if end == forever {
		return forever
	}
	left := time.Duration(max(end-e.SnapshotAtNano, 1)) // otter would ignore 0
	if planned := e.ExpiresAfter(); planned >= left && planned-left <= left/8 {
		return planned
	}
	return left
}

// Set stores data under key for the store's TTL. It does nothing after Close.
func (t *Otter) Set(key string, data []byte) { t.set(key, data, t.next()) }

// SetWithTTL stores data under key for ttl at most; see TTLSetter. It does nothing after Close.
func (t *Otter) SetWithTTL(key string, data []byte, ttl time.Duration) {
	if ttl <= 0 {
		t.Del(key)
		return
	}
	t.set(key, data, t.atMost(ttl))
}

// SetWithLife stores data under key for the times of life; see StaleKeeper. It does nothing after
// Close.
func (t *Otter) SetWithLife(key string, data []byte, life Life) {
	if life.TTL < 0 {
		t.Del(key)
		return
	}
	t.put(key, newEntry(data, t.timesOfLife(life)))
}

func (t *Otter) set(key string, data []byte, ttl time.Duration) {
	t.put(key, newEntry(data, t.timesOf(ttl)))
}

func (t *Otter) put(key string, e *Entry) {
	if !t.closed.Load() {
		t.store.Set(key, e)
	}
}

// Get returns what is stored under key.
func (t *Otter) Get(key string) ([]byte, bool) {
	e, ok := t.GetEntry(key)
	if !ok {
		return nil, false
	}
	return e.Data(), true
}

// GetEntry returns the Entry of key; see EntryGetter.
func (t *Otter) GetEntry(key string) (*Entry, bool) {
	if t.closed.Load() {
		return nil, false
	}
	e, ok := t.store.GetIfPresent(key)
	if !ok || e.until != forever && t.now() >= e.until {
		return nil, false
	}
	return e, true
}

// GetWithLife returns the entry of key and what of its life has passed; see StaleKeeper. It does not
// count as a read of the key when the store chooses what to evict.
func (t *Otter) GetWithLife(key string) (Lived, bool) {
	if t.closed.Load() {
		return Lived{}, false
	}
	e, ok := t.store.GetEntryQuietly(key)
	if !ok {
		return Lived{}, false
	}
	return e.Value.lived(t.now())
}

// KeeperOf returns the store; see StaleKeeper.
func (t *Otter) KeeperOf() Local { return t }

// ReplaceEntry replaces old by e; see EntryReplacer.
func (t *Otter) ReplaceEntry(key string, old, e *Entry) bool {
	e.times = old.times
	replaced := false
	t.store.ComputeIfPresent(key, func(current *Entry) (*Entry, otter.ComputeOp) {
		if current != old {
			return current, otter.CancelOp
		}
		replaced = true
		return e, otter.WriteOp
	})
	return replaced
}

// EntriesOf returns the store; see EntryGetter.
func (t *Otter) EntriesOf() Local { return t }

// Del removes key.
func (t *Otter) Del(key string) { t.store.Invalidate(key) }

// Close drops all entries and ends the store's goroutine. The store is empty from then on. Close
// may be called more than once and by any goroutine.
func (t *Otter) Close() {
	if t.closed.CompareAndSwap(false, true) {
		t.coarse.stop()
		t.store.StopAllGoroutines()
	}
	t.store.InvalidateAll()
}
