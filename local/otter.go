package local

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Otter is a Local that holds a number of entries, or of bytes, and keeps those that are
// asked for most and lately (otter's W-TinyLFU with an adaptive window). Values are kept as
// they are, without a copy.
//
// A Set is visible when it returns, and costs little more than storing it: what has to give
// way is worked out in the background. So a store that is written to without a pause may
// hold somewhat more than its size for a moment.
type Otter struct {
	lifetime
	store  *otter.Cache[string, *Entry]
	closed atomic.Bool
}

var (
	_ Local         = (*Otter)(nil)
	_ TTLSetter     = (*Otter)(nil)
	_ EntryGetter   = (*Otter)(nil)
	_ EntryReplacer = (*Otter)(nil)
)

// NewOtter returns a store of about size entries that live for ttl; 0 means that they do
// not expire. Its memory follows what it holds. It panics if size is less than 1 or ttl is
// negative.
//
// The store runs a goroutine, and others for moments. They end with Close, or when the
// store is no longer reachable.
func NewOtter(size int, ttl time.Duration) *Otter {
	if size < 1 {
		panic(fmt.Sprintf("local: NewOtter: the size is %d; give the number of entries to hold, 1 or more", size))
	}
	return newOtter("NewOtter", ttl, otter.Options[string, *Entry]{MaximumSize: size})
}

// NewOtterBytes is NewOtter for a store that is bounded by memory: size is what keys,
// values and the store's own records of them may take, in bytes. What a cache keeps decoded
// beside the values is not counted: where it does, allow for it. An entry that is larger than
// size is not kept. It panics if size is less than 1.
func NewOtterBytes(size Size, ttl time.Duration) *Otter {
	if size < 1 {
		panic(fmt.Sprintf("local: NewOtterBytes: the size is %d; give the number of bytes to hold, 1 or more", size))
	}
	return newOtter("NewOtterBytes", ttl, otter.Options[string, *Entry]{MaximumWeight: uint64(size), Weigher: weight})
}

// entryOverhead is about what otter and an Entry take for each key, in bytes; the benchmark
// of memory for each entry shows it.
const entryOverhead = 160

func weight(key string, e *Entry) uint32 {
	return uint32(min(entryOverhead+uint64(len(key))+uint64(len(e.data)), math.MaxUint32))
}

func newOtter(constructor string, ttl time.Duration, o otter.Options[string, *Entry]) *Otter {
	t := &Otter{}
	t.lifetime.init(constructor, ttl)
	o.ExpiryCalculator = otter.ExpiryWritingFunc(func(e otter.Entry[string, *Entry]) time.Duration {
		if e.Value.ttl == untilThen {
			return e.ExpiresAfter()
		}
		return e.Value.ttl
	})
	t.store = otter.Must(&o)
	return t
}

const (
	// forever is the lifetime of entries that do not expire.
	forever time.Duration = math.MaxInt64
	// untilThen is that of entries that take the place of others.
	untilThen time.Duration = -1
)

// Set stores data under key for the store's TTL.
func (t *Otter) Set(key string, data []byte) { t.set(key, data, t.next()) }

// SetWithTTL stores data under key for ttl at most; see TTLSetter.
func (t *Otter) SetWithTTL(key string, data []byte, ttl time.Duration) {
	if ttl <= 0 {
		t.Del(key)
		return
	}
	t.set(key, data, t.atMost(ttl))
}

func (t *Otter) set(key string, data []byte, ttl time.Duration) {
	if ttl == 0 {
		ttl = forever
	}
	if !t.closed.Load() {
		t.store.Set(key, &Entry{data: textOf(data), ttl: ttl})
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

// GetEntry returns the entry of key; see EntryGetter.
func (t *Otter) GetEntry(key string) (*Entry, bool) {
	if t.closed.Load() {
		return nil, false
	}
	return t.store.GetIfPresent(key)
}

// ReplaceEntry puts e in the place of old; see EntryReplacer.
func (t *Otter) ReplaceEntry(key string, old, e *Entry) bool {
	e.ttl = untilThen
	replaced := false
	t.store.ComputeIfPresent(key, func(there *Entry) (*Entry, otter.ComputeOp) {
		if there != old {
			return there, otter.CancelOp
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

// Close drops all entries and ends the store's goroutines. Afterwards the store is empty and
// stays so. It is safe to call more than once and from any goroutine.
func (t *Otter) Close() {
	if t.closed.CompareAndSwap(false, true) {
		t.store.StopAllGoroutines()
	}
	t.store.InvalidateAll()
}
