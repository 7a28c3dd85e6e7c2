// Package flight coordinates what happens to one key at a time within a process: loads
// that concurrent callers share, and writes that make older reads void.
//
// A Table has an entry for each key that is being read, loaded or written, and for no
// other. The entry holds the key's flight (the load that callers may join), its epoch
// (how often it has been written while the entry existed) and its lane (which write may
// reach the stores). The files: table.go keeps the entries, lane.go is what writes wait for,
// note.go is the fill rule,
// call.go the loads and who waits for them, single.go loads of one key, batch.go loads
// of many, running.go what Close waits for, cycle.go finds loaders that wait for
// themselves, parting.go who may join a load.
package flight

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/singleflight"
)

// shardCount is how many mutexes the keys are spread over.
const shardCount = 64

// Table coordinates keys; V is what a load results in. Make one with NewTable.
type Table[V any] struct {
	seed   maphash.Seed
	shards [shardCount]shard[V]

	// single runs the loads of single keys and hands their results round. It has a
	// call for a key exactly while the key's entry has a single flight: both change
	// under the shard's mutex.
	single singleflight.Group

	running running // the loads that are running
	parting parting // which of them may be joined
}

type shard[V any] struct {
	mu      sync.Mutex
	entries map[string]*entry[V] // guarded by mu
}

// entry is what is known of one key while somebody holds it.
type entry[V any] struct {
	key string

	// Guarded by the shard's mutex.
	holders int
	flight  *call[V] // the load that callers may join; nil: none

	// epoch is advanced by every write. A read that began in an earlier epoch must
	// not fill a store.
	epoch atomic.Uint64
	// sets counts the values that were given, and the removals, that took effect.
	sets atomic.Uint64
	// unsure counts what may or may not be newer than a value that is being worked out:
	// invalidations, and other such values that took effect.
	unsure atomic.Uint64
	// fills counts the fills of the local store by loads, and what else voids reads alone.
	fills atomic.Uint64

	// lane is held by who may write to the remote store.
	lane lane

	// local is held while the local store is written, together with the look at the
	// epoch that allows it.
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

// holdLocked returns the entry of key, which stays until releaseLocked. If there is none yet
// it takes fresh, a zero entry, or nil to allocate one; used tells whether it took it.
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

func (t *Table[V]) release(e *entry[V]) {
	s := t.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(e)
}

// endFlightLocked makes sure that nobody joins e's flight any more. Those who have
// joined get its result.
func (t *Table[V]) endFlightLocked(e *entry[V]) {
	if e.flight == nil {
		return
	}
	if e.flight.single {
		t.single.Forget(e.key)
	}
	e.flight = nil
}

// advance begins a new epoch of e: reads that began before are void, and
// nobody joins them any more.
func (t *Table[V]) advance(e *entry[V]) {
	s := t.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.endFlightLocked(e)
	e.epoch.Add(1)
}

// Len returns how many keys are being read, loaded or written.
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
