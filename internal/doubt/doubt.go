// Package doubt keeps track of which entries of a local store may be out of date because
// messages about changes have, or may have, been missed.
//
// While the link to other nodes is down, every entry is in doubt. When it is up again, or has
// lost messages, each entry is that was not stored since. Which ones were is kept by key, so
// that it works over every store: a key that is not known to have been stored since is in
// doubt, which costs a look into the remote and never anything worse.
package doubt

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Set is what is in doubt. The zero value is a Set in which nothing is.
type Set struct {
	phase atomic.Pointer[Phase] // nil: nothing is in doubt

	mu   sync.Mutex
	down int // guarded by mu: how many links are down
}

// Phase is the time since the last gap, or since the doubts about it ended. Nil is the time before
// any.
type Phase struct {
	// Began is when the phase began: what was stored before is in doubt.
	Began  time.Time
	down   bool // a link is down: everything is in doubt
	calm   bool // the doubts have ended: nothing is
	seed   maphash.Seed
	shards [shardCount]shard
}

const (
	shardCount = 64
	// maxKeys bounds how many keys a Phase remembers: about 20 bytes each.
	maxKeys = 1 << 20
)

type shard struct {
	mu     sync.RWMutex
	stored map[uint64]struct{} // guarded by mu: hashes of the keys that were stored in the phase
}

// Now returns the phase of what is asked for now, for Stored.
func (s *Set) Now() *Phase {
	if s == nil {
		return nil
	}
	return s.phase.Load()
}

// Has reports whether what a store holds of key is in doubt.
func (s *Set) Has(key string) bool {
	if s == nil {
		return false
	}
	p := s.phase.Load()
	return p != nil && p.has(key)
}

// Any reports whether anything may be in doubt.
func (s *Set) Any() bool {
	p := s.Now()
	return p != nil && !p.calm
}

// Is reports whether p is still the phase. If it is not, a change of what was asked for in p may
// have been missed, though what was asked for since under the same key is certain.
func (s *Set) Is(p *Phase) bool { return s.Now() == p }

// Deaf reports whether a link is down, so that everything is in doubt.
func (s *Set) Deaf() bool {
	p := s.Now()
	return p != nil && p.down
}

// Stored notes that key has been stored, with what was asked for in phase p. It is called
// after the store has been written: in between, a reader takes the new entry for one in doubt,
// and not an old one for a new one. What was asked for before the last gap stays in doubt.
func (p *Phase) Stored(key string) {
	if p == nil || p.down || p.calm {
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
	if p.down || p.calm {
		return p.down
	}
	h := maphash.String(p.seed, key)
	sh := &p.shards[h%shardCount]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, ok := sh.stored[h]
	return !ok
}

// Gap puts everything that is stored in doubt.
func (s *Set) Gap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginLocked()
}

// Down notes that a link is down: everything is in doubt until Up, and what was stored before
// that stays so.
func (s *Set) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down++
	s.beginLocked()
}

// Up ends what one Down began. If nothing was stored before, fresh says so, and nothing is in
// doubt then.
func (s *Set) Up(fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down--
	if fresh && s.down == 0 {
		s.phase.Store(nil)
		return
	}
	s.beginLocked()
}

// End ends the doubts of phase p: the store holds nothing that is older.
func (s *Set) End(p *Phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p != nil && !p.down { // another pointer than before the gap: see Is
		s.phase.CompareAndSwap(p, &Phase{Began: time.Now(), calm: true})
	}
}

func (s *Set) beginLocked() {
	s.phase.Store(&Phase{Began: time.Now(), down: s.down > 0, seed: maphash.MakeSeed()})
}
