package coherence

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// ownWrites remembers what this node has written lately: for echoTime at least, and for twice that at
// most if anything is written or asked for. Its methods may be called concurrently.
type ownWrites struct {
	seed  maphash.Seed
	began time.Time

	mu    sync.Mutex
	newer map[string]ownWrite // guarded by mu: what was written since turn, by key
	older map[string]ownWrite // guarded by mu: what was written before turn
	turn  time.Time           // guarded by mu: when newer was begun
}

// ownWrite is what this node has written under a key.
type ownWrite struct {
	sum  uint64        // the hash of the value
	life time.Duration // the lifetime that the value was given; zero or less if it does not expire
	at   time.Duration // when the write was noted, after began
}

const (
	// echoTime is how long a write is remembered at least. The remote reports it much sooner.
	echoTime = 5 * time.Second
	// lifeSlack is by how much the lifetime that the remote has may differ from what this node gave,
	// beside the time that has passed. The remote counts in milliseconds, and its clock may run a
	// little faster or slower: five milliseconds in ten seconds at the 500 ppm that NTP allows.
	lifeSlack = 10 * time.Millisecond
	// maxOwnWrites bounds the size of newer, and of older. A write that is forgotten is taken for
	// that of another node, which costs a read of the remote.
	maxOwnWrites = 1 << 16
)

func newOwnWrites() *ownWrites {
	now := time.Now()
	return &ownWrites{seed: maphash.MakeSeed(), began: now, newer: make(map[string]ownWrite), turn: now}
}

// note notes that data is about to be written under key, for life. Zero or less means that it does
// not expire.
func (w *ownWrites) note(key string, data []byte, life time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turnLocked()
	w.newer[key] = ownWrite{maphash.Bytes(w.seed, data), life, time.Since(w.began)}
}

// turnLocked forgets what is old.
func (w *ownWrites) turnLocked() {
	age := time.Since(w.turn)
	if age <= echoTime && len(w.newer) < maxOwnWrites {
		return
	}
	w.older, w.newer, w.turn = w.newer, make(map[string]ownWrite), time.Now()
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

// is reports whether got, which the remote has just answered, is the newest value that was written
// under key, as far as is remembered: the same bytes, with what must be left of their lifetime. If
// the remote does not tell lifetimes, the bytes decide. An answer that took longer than
// compareTimeout, as when the process was stopped meanwhile, says too little about a lifetime.
func (w *ownWrites) is(key string, got *record.Got) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	own, ok := w.getLocked(key)
	if !ok || own.sum != maphash.Bytes(w.seed, got.Data) {
		return false
	}
	if got.Assumed {
		return true
	}
	return time.Since(got.Asked) <= compareTimeout && own.lives(got.TTL, time.Since(w.began)-own.at)
}

// lives reports whether a remote that says that a key has left to live may have got the lifetime
// from this write, which was noted passed ago. The remote stored the value after it was noted, and
// told the lifetime after it had stored it. So what is missing from the lifetime is at most passed.
// That is so also if the process was stopped meanwhile. A local copy, whose lifetime counts from
// when the write was sent, outlives the remote's value by no more than the time that the answer
// took, and lifeSlack.
func (o ownWrite) lives(left, passed time.Duration) bool {
	if o.life <= 0 || left <= 0 { // one of them does not expire, so neither may
		return o.life <= 0 && left <= 0
	}
	missing := o.life - left
	return -lifeSlack <= missing && missing <= passed+lifeSlack
}

func (w *ownWrites) getLocked(key string) (own ownWrite, ok bool) {
	if own, ok = w.newer[key]; !ok {
		own, ok = w.older[key]
	}
	return own, ok
}

// forget forgets what was written under key.
func (w *ownWrites) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.newer, key)
	delete(w.older, key)
}
