package coherence

import (
	"hash/maphash"
	"sync"
	"time"
)

// ownWrites remembers what this node has written lately: for echoTime at least, and for twice that at
// most if anything is written or asked for. Its methods may be called concurrently.
type ownWrites struct {
	seed maphash.Seed

	mu    sync.Mutex
	sums  map[string]uint64 // guarded by mu: hashes of what was written since turn, by key
	older map[string]uint64 // guarded by mu: hashes of what was written before turn
	turn  time.Time         // guarded by mu: when sums was begun
}

const (
	// echoTime is how long a write is remembered at least. The remote reports it much sooner.
	echoTime = 5 * time.Second
	// maxOwnWrites bounds the size of sums, and of older. A write that is forgotten is taken for
	// that of another node, which costs a read of the remote.
	maxOwnWrites = 1 << 16
)

func newOwnWrites() *ownWrites {
	return &ownWrites{seed: maphash.MakeSeed(), sums: make(map[string]uint64), turn: time.Now()}
}

// note notes that data is about to be written under key.
func (w *ownWrites) note(key string, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turnLocked()
	w.sums[key] = maphash.Bytes(w.seed, data)
}

// turnLocked forgets what is old.
func (w *ownWrites) turnLocked() {
	age := time.Since(w.turn)
	if age <= echoTime && len(w.sums) < maxOwnWrites {
		return
	}
	w.older, w.sums, w.turn = w.sums, make(map[string]uint64), time.Now()
	if age > 2*echoTime {
		w.older = nil
	}
}

// has reports whether key was written lately.
func (w *ownWrites) has(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turnLocked()
	_, ok := w.getLocked(key)
	return ok
}

// is reports whether data is the newest value that was written under key, as far as is remembered.
func (w *ownWrites) is(key string, data []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	sum, ok := w.getLocked(key)
	return ok && sum == maphash.Bytes(w.seed, data)
}

func (w *ownWrites) getLocked(key string) (sum uint64, ok bool) {
	if sum, ok = w.sums[key]; !ok {
		sum, ok = w.older[key]
	}
	return sum, ok
}

// forget forgets what was written under key.
func (w *ownWrites) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sums, key)
	delete(w.older, key)
}
