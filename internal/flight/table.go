// Package flight coordinates what happens to one key at a time within a process. Concurrent
// callers of a key share one load, and a write of a key voids the reads that are older.
//
// A Table has an entry for each key that is being read, loaded or written, and for no other
// key. An entry holds three things: the call that new callers of the key may join, the key's
// epoch (how often the key was written while the entry existed), and the key's write lock
// (which write or fill may reach the remote store now).
//
// The files:
//
//   - table.go keeps the entries.
//   - note.go is the fill rule: which reads may be stored, and what voids them.
//   - writelock.go is the lock that the writes of a key wait for.
//   - call.go is the load of one key, and the waiters for its result.
//   - loaderrun.go is one run of a loader, for one key or for many.
//   - single.go loads one key, batch.go loads many.
//   - running.go counts the runs that Close waits for.
//   - cycle.go finds loaders that wait for themselves.
//   - joinlimit.go says which loads new callers may join.
package flight

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/singleflight"
)

// shardCount is the number of mutexes that the keys are spread over.
const shardCount = 64

// Table coordinates keys. V is the result of a load. Make one with NewTable. Its methods may be
// called concurrently.
type Table[V any] struct {
	seed   maphash.Seed
	shards [shardCount]shard[V]

	// group runs the loads of single keys and hands out their results. It has a call for a key
	// exactly while the joinable call of the key's entry is grouped: both change under the
	// shard's mutex.
	group singleflight.Group

	running   running   // the runs of loaders that have not ended
	joinLimit joinLimit // which loads new callers may join
}

type shard[V any] struct {
	mu      sync.Mutex
	entries map[string]*entry[V] // guarded by mu
}

// entry is the state of one key. It exists while somebody holds it.
type entry[V any] struct {
	key string

	// Guarded by the shard's mutex.
	holders  int
	joinable *call[V] // the call that new callers join; nil if there is none

	// epoch is advanced by every write. A read that began in an earlier epoch must not fill a
	// store.
	epoch atomic.Uint64
	// explicit counts the explicit writes that took effect: a value that the caller gave, or a
	// removal.
	explicit atomic.Uint64
	// uncertain counts the changes that may be newer than a computed value, or older:
	// invalidations, and writes of computed values that took effect.
	uncertain atomic.Uint64
	// fills counts the fills of the local store by loads, and the calls of VoidReads.
	fills atomic.Uint64

	// write is held during a write of the key, and during a fill of the remote store.
	write writeLock

	// local is held while the local store is written, together with the look at the epoch that
	// allows the write.
	local sync.Mutex
}

// NewTable returns an empty Table.
func NewTable[V any]() *Table[V] {
	t := &Table[V]{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].entries = make(map[string]*entry[V])
	}
	return t
}

func (t *Table[V]) shard(key string) *shard[V] {
	return &t.shards[maphash.String(t.seed, key)%shardCount]
}

// holdLocked returns the entry of key, which exists until releaseLocked. If key has no entry,
// fresh becomes its entry: it must be a zero entry, or nil to have one allocated. used reports
// whether key had no entry.
func (s *shard[V]) holdLocked(key string, fresh *entry[V]) (e *entry[V], used bool) {
	if e = s.entries[key]; e == nil {
		if e = fresh; e == nil {
			e = new(entry[V])
		}
		e.key, used = key, true
		s.entries[key] = e
	}
	e.holders++
	return e, used
}

func (s *shard[V]) releaseLocked(e *entry[V]) {
	if e.holders--; e.holders == 0 {
		delete(s.entries, e.key)
	}
}

// hold is holdLocked for callers without the mutex.
func (t *Table[V]) hold(key string) *entry[V] {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.holdLocked(key, nil)
	return e
}

// release is releaseLocked for callers without the mutex.
func (t *Table[V]) release(e *entry[V]) {
	s := t.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(e)
}

// endJoiningLocked makes sure that nobody joins the call of e from now on. The waiters that have
// joined still get its result.
func (t *Table[V]) endJoiningLocked(e *entry[V]) {
	if e.joinable == nil {
		return
	}
	if e.joinable.grouped {
		t.group.Forget(e.key)
	}
	e.joinable = nil
}

// advance begins a new epoch of e. Reads that began before it are void, and new callers do not
// join them.
func (t *Table[V]) advance(e *entry[V]) {
	s := t.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.endJoiningLocked(e)
	e.epoch.Add(1)
}

// Len returns the number of keys that are being read, loaded or written.
func (t *Table[V]) Len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}
