package local

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// window holds the newest entries of a TinyLFU, so that each is there for a while whatever
// its key's frequency: an admission filter that sees only frequencies turns away what is new,
// and a cache of what was asked for lately then misses most of it (Einziger, Friedman and
// Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", 2017, section 4, has a window
// for that reason). What has to leave is chosen by the clock algorithm: the oldest entry that
// was not read since it was last looked at.
type window struct {
	size   int
	seed   maphash.Seed
	shards [windowShards]windowShard

	// Used by one writer at a time; TinyLFU sees to that.
	queue  []*slot // in the order in which they are looked at, from first on; nil: removed
	first  int
	held   int   // how many of the queue are not nil
	newest *slot // what was put last does not leave, read or not
}

const windowShards = 64

type windowShard struct {
	mu sync.RWMutex
	m  map[string]*slot // guarded by mu
}

// slot is an entry of a window. It is not changed but for its mark.
type slot struct {
	key   string
	entry *Entry
	end   time.Time // zero: it does not expire
	place int       // in the queue; of the writer
	read  atomic.Bool
}

// left returns how long the slot's entry has to live, 0 for without end; ok is false if it has
// expired.
func (s *slot) left() (d time.Duration, ok bool) {
	if s.end.IsZero() {
		return 0, true
	}
	d = time.Until(s.end)
	return d, d > 0
}

func newWindow(size int) *window {
	w := &window{size: size, seed: maphash.MakeSeed()}
	for i := range w.shards {
		w.shards[i].m = make(map[string]*slot)
	}
	return w
}

func (w *window) shard(key string) *windowShard {
	return &w.shards[maphash.String(w.seed, key)%windowShards]
}

// get returns the entry of key. It may be called at any time.
func (w *window) get(key string) (*Entry, bool) {
	sh := w.shard(key)
	sh.mu.RLock()
	s := sh.m[key]
	sh.mu.RUnlock()
	if s == nil {
		return nil, false
	}
	if _, ok := s.left(); !ok {
		return nil, false
	}
	if !s.read.Load() { // most often it is: leave the cache line alone
		s.read.Store(true)
	}
	return s.entry, true
}

// put puts an entry under key, with its lifetime, 0 for without end.
func (w *window) put(key string, e *Entry, ttl time.Duration) {
	s := &slot{key: key, entry: e}
	if ttl > 0 {
		s.end = time.Now().Add(ttl)
	}
	sh := w.shard(key)
	sh.mu.Lock()
	old := sh.m[key]
	sh.m[key] = s
	sh.mu.Unlock()
	if old != nil {
		s.place = old.place
		s.read.Store(old.read.Load())
		w.queue[s.place-w.first] = s
		w.newest = s
		return
	}
	w.append(s)
	w.newest = s
	w.held++
}

func (w *window) append(s *slot) {
	s.place = w.first + len(w.queue)
	w.queue = append(w.queue, s)
}

// remove removes key; it reports whether it was there.
func (w *window) remove(key string) bool {
	sh := w.shard(key)
	sh.mu.Lock()
	s := sh.m[key]
	delete(sh.m, key)
	sh.mu.Unlock()
	if s == nil {
		return false
	}
	w.queue[s.place-w.first] = nil
	if w.newest == s {
		w.newest = nil
	}
	w.held--
	w.trim()
	return true
}

// trim takes what was removed off the front of the queue, and all of it if that is most of
// the queue.
func (w *window) trim() {
	for len(w.queue) > 0 && w.queue[0] == nil {
		w.queue = w.queue[1:]
		w.first++
	}
	if len(w.queue) <= 2*w.held+64 {
		return
	}
	w.queue = slices.DeleteFunc(w.queue, func(s *slot) bool { return s == nil })
	w.first = 0
	for i, s := range w.queue {
		s.place = i
	}
}

// excess returns the slot that has to leave, nil while there is room for all. It stays until
// it is removed. Readers may mark slots as fast as they are looked at: after two rounds the
// next one leaves.
func (w *window) excess() *slot {
	for looks := 0; w.held > w.size; looks++ {
		w.trim()
		s := w.queue[0]
		if s != w.newest && (!s.read.Load() || looks > 2*w.held) {
			return s
		}
		s.read.Store(false)
		w.queue[0] = nil
		w.append(s)
	}
	return nil
}

// clear drops all entries.
func (w *window) clear() {
	for i := range w.shards {
		sh := &w.shards[i]
		sh.mu.Lock()
		clear(sh.m)
		sh.mu.Unlock()
	}
	w.queue, w.first, w.held, w.newest = nil, 0, 0, nil
}
