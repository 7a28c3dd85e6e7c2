// Package throttle remembers for a while that something has failed for a key, so that it is not tried
// again at once.
package throttle

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/jitter"
)

// Set is the keys that are not to be tried again yet. Its zero value is empty. Its methods may be
// called concurrently.
type Set struct {
	size atomic.Int64 // of keys; while it is zero, readers need not lock mu

	mu    sync.Mutex
	keys  map[string]pause // guarded by mu
	sweep time.Time        // guarded by mu: keys that are over are not removed before this
}

// pause is what is known of one key.
type pause struct {
	until  time.Time
	length time.Duration // without jitter
}

const (
	// maxKeys bounds the keys. What fails for further ones is tried again at once.
	maxKeys = 1 << 16
	// sweepPause is the shortest time between two searches for keys that are over.
	sweepPause = time.Second
	// jitterDivisor is the part of a pause that is random.
	jitterDivisor = 5
)

// Hold notes that something has failed for key. It is not tried again for first, or, if the last pause
// has ended a short while ago, for twice the last pause, but at most for longest. Up to a fifth is added
// at random. Hold does nothing during a pause: of many callers, only the first counts.
func (s *Set) Hold(key string, first, longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	last, known := s.keys[key]
	switch {
	case known && now.Before(last.until):
		return
	case !known && len(s.keys) >= maxKeys && !s.sweepLocked(now):
		return
	}
	length := first
	if known && now.Before(last.until.Add(last.length)) {
		length = min(2*last.length, max(first, longest))
	}
	if s.keys == nil {
		s.keys = make(map[string]pause)
	}
	s.keys[key] = pause{now.Add(jitter.Add(length, length/jitterDivisor)), length}
	s.size.Store(int64(len(s.keys)))
}

// sweepLocked removes the keys that are over. It reports whether there is a place for another one.
func (s *Set) sweepLocked(now time.Time) bool {
	if now.Before(s.sweep) {
		return false
	}
	s.sweep = now.Add(sweepPause)
	for key, p := range s.keys {
		if !now.Before(p.until.Add(p.length)) {
			delete(s.keys, key)
		}
	}
	return len(s.keys) < maxKeys
}

// Holds reports whether key is not to be tried again yet.
func (s *Set) Holds(key string) bool {
	if s.size.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.keys[key]
	return ok && time.Now().Before(p.until)
}

// Forget notes that it has succeeded for key.
func (s *Set) Forget(key string) {
	if s.size.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, key)
	s.size.Store(int64(len(s.keys)))
}
