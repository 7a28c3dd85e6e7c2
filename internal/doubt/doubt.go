// Package doubt knows which entries of a local store are in doubt: a message about a change of
// them may have been lost, so they may be out of date.
//
// A gap is a moment at which messages may have been lost. While the link to the other nodes is
// down, every entry is in doubt. After a gap, and after the link has come up again, every entry is
// in doubt that was stored before. The package records which keys were stored since, so it works
// with every store. A key that is wrongly in doubt costs a read of the remote store, and nothing
// worse.
package doubt

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Set is the set of the keys whose entries are in doubt. In the zero value no key is in doubt, and
// in a nil Set none ever is; only Has, Any, Now, Is and Deaf may be called on a nil Set. The
// methods may be called concurrently.
type Set struct {
	phase atomic.Pointer[Phase] // nil before the first gap: nothing is in doubt

	mu   sync.Mutex
	down int // guarded by mu: how many links are down
}

// Phase is the time between two changes of what is in doubt: a gap, a link that goes down or comes
// up, or the end of the doubts. A nil Phase is the time before the first one. Its methods may be
// called concurrently.
type Phase struct {
	// Began is when the phase began. Entries that were stored earlier are in doubt.
	Began  time.Time
	down   bool // a link is down: every entry is in doubt
	ended  bool // the doubts have ended: no entry is in doubt
	seed   maphash.Seed
	shards [shardCount]shard
}

const (
	shardCount = 64
	// maxKeys bounds the number of keys that a Phase records. Each takes about 20 bytes.
	maxKeys = 1 << 20
)

type shard struct {
	mu     sync.RWMutex
	stored map[uint64]struct{} // guarded by mu: hashes of the keys that were stored in the phase
}

// Now returns the phase of this moment. A caller that asks the remote store, or calls a loader,
// takes it before, and gives it to Stored or Is afterwards.
func (s *Set) Now() *Phase {
	if s == nil {
		return nil
	}
	return s.phase.Load()
}

// Has reports whether the entry that a store has of key is in doubt.
func (s *Set) Has(key string) bool {
	if s == nil {
		return false
	}
	p := s.phase.Load()
	return p != nil && p.has(key)
}

// Any reports whether any entry may be in doubt.
func (s *Set) Any() bool {
	p := s.Now()
	return p != nil && !p.ended
}

// Is reports whether p is still the phase of this moment. If it is not, a value that was asked for
// in p may be out of date, even if the key was stored since and is not in doubt.
func (s *Set) Is(p *Phase) bool { return s.Now() == p }

// Deaf reports whether a link is down. Then every entry is in doubt.
func (s *Set) Deaf() bool {
	p := s.Now()
	return p != nil && p.down
}

// Stored records that a value was stored under key that was asked for in phase p. If p is not the
// phase of this moment any more, the entry stays in doubt. Call it after the store was written.
// Until then, a reader may take the new entry for one in doubt, which is safe. The other order
// would not be: a reader could take the old entry for the new one.
func (p *Phase) Stored(key string) {
	if p == nil || p.down || p.ended {
		return
	}
	h := maphash.String(p.seed, key)
	sh := &p.shards[h%shardCount]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.stored) >= maxKeys/shardCount {
		for other := range sh.stored {
			delete(sh.stored, other)
			break
		}
	}
	if sh.stored == nil {
		sh.stored = make(map[uint64]struct{})
	}
	sh.stored[h] = struct{}{}
}

func (p *Phase) has(key string) bool {
	if p.down || p.ended {
		return p.down
	}
	h := maphash.String(p.seed, key)
	sh := &p.shards[h%shardCount]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, ok := sh.stored[h]
	return !ok
}

// Gap puts every entry in doubt that is stored now.
func (s *Set) Gap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginLocked()
}

// Down records that a link is down. Every entry is in doubt until Up. Entries that were stored
// before Up are in doubt after it, too.
func (s *Set) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down++
	s.beginLocked()
}

// Up ends one Down. fresh says that nothing was stored yet. Then nothing is in
// doubt, if no other link is down.
func (s *Set) Up(fresh bool) { //nolint:revive // fresh is what the caller has found out, not a choice
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down--
	if fresh && s.down == 0 {
		s.phase.Store(nil)
		return
	}
	s.beginLocked()
}

// End ends the doubts of phase p: the store has no entries from before p any more. It does nothing
// if p is not the phase of this moment, or if a link is down.
func (s *Set) End(p *Phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p != nil && !p.down {
		// Not nil, as before the first gap: Is must report false for the phases before p.
		s.phase.CompareAndSwap(p, &Phase{Began: time.Now(), ended: true})
	}
}

func (s *Set) beginLocked() {
	s.phase.Store(&Phase{Began: time.Now(), down: s.down > 0, seed: maphash.MakeSeed()})
}
