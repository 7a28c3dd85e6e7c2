package coherence

import (
	"hash/maphash"
	"sync"
	"time"
)

// ownWrites remembers what this node has written lately.
type ownWrites struct {
	seed maphash.Seed

	mu    sync.Mutex
	sums  map[string]uint64 // guarded by mu: of the newest value of each key
	older map[string]uint64 // guarded by mu: those from before the last turn
	turn  time.Time         // guarded by mu
}

const (
	// echoTime is how long a write is remembered at least: longer than it takes until the remote
	// has told of it.
	echoTime = 5 * time.Second
	// maxOwnWrites bounds how many writes are remembered. A write that is forgotten is taken for
	// that of another node.
	maxOwnWrites = 1 << 16
)

func newOwnWrites() *ownWrites {
	return &ownWrites{seed: maphash.MakeSeed(), sums: make(map[string]uint64), turn: time.Now()}
}

// note notes that data is about to be written.
func (w *ownWrites) note(key string, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sums) >= maxOwnWrites || time.Since(w.turn) > echoTime {
		w.older, w.sums, w.turn = w.sums, make(map[string]uint64), time.Now()
	}
	w.sums[key] = maphash.Bytes(w.seed, data)
	delete(w.older, key)
}

// has reports whether key was written lately.
func (w *ownWrites) has(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.getLocked(key)
	return ok
}

// is reports whether data is what was last written under key.
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

func (w *ownWrites) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sums, key)
	delete(w.older, key)
}
