package local

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// window has the newest entries of a TinyLFU. Each of them stays for a while, however seldom its
// key was read. An admission filter that knows only frequencies refuses most new entries, so a
// store without a window misses most keys whose popularity is recent (Einziger, Friedman and
// Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", 2017, section 4, adds a window for
// this reason).
//
// The clock algorithm chooses the entry that leaves a full window: the oldest one that was not
// read since the algorithm last looked at it.
type window struct {
	size   int
	clock  clock
	seed   maphash.Seed
	shards [windowShards]windowShard

	// Used by one writer at a time; TinyLFU holds its mu.
	queue  []*slot // in the order of the clock algorithm; nil in the place of a removed slot
	first  int     // the number of the queue's first place
	count  int     // how many slots of the queue are not nil
	newest *slot   // the slot that was put last, which does not leave
}

const windowShards = 64

type windowShard struct {
	mu sync.RWMutex
	m  map[string]*slot // guarded by mu
}

// slot is an entry of a window.
type slot struct {
	key   string
	entry *Entry
	place int         // the number of its place in the queue; used by the writer
	read  atomic.Bool // it was read since the clock algorithm last looked at it
}

func newWindow(size int, c clock) *window {
	w := &window{size: size, clock: c, seed: maphash.MakeSeed()}
	for i := range w.shards {
		w.shards[i].m = make(map[string]*slot)
	}
	return w
}

func (w *window) shard(key string) *windowShard {
	return &w.shards[maphash.String(w.seed, key)%windowShards]
}

// get returns the entry of key until its end, and the time, which is 0 if the entry does not expire.
// The entry is nil if there is none. get may be called concurrently with everything else.
func (w *window) get(key string) (e *Entry, now int64) {
	sh := w.shard(key)
	sh.mu.RLock()
	s := sh.m[key]
	sh.mu.RUnlock()
	if s == nil {
		return nil, 0
	}
	if s.entry.until != forever {
		if now = w.clock.now(); now >= s.entry.end() {
			return nil, 0
		}
	}
	if !s.read.Load() { // it is most often set, and then the cache line is not written
		s.read.Store(true)
	}
	return s.entry, now
}

// put puts an entry under key.
func (w *window) put(key string, e *Entry) {
	s := &slot{key: key, entry: e}
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
	w.count++
}

// append puts a slot at the end of the queue.
func (w *window) append(s *slot) {
	s.place = w.first + len(w.queue)
	w.queue = append(w.queue, s)
}

// remove removes key. It reports whether the window had it.
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
	w.count--
	w.trim()
	return true
}

// trim drops the places of removed slots from the front of the queue. It drops all of them if they
// are most of the queue.
func (w *window) trim() {
	for len(w.queue) > 0 && w.queue[0] == nil {
		w.queue = w.queue[1:]
		w.first++
	}
	if len(w.queue) <= 2*w.count+64 {
		return
	}
	w.queue = slices.DeleteFunc(w.queue, func(s *slot) bool { return s == nil })
	w.first = 0
	for i, s := range w.queue {
		s.place = i
	}
}

// excess returns the slot that has to leave, or nil if the window is not too large. The slot stays
// until it is removed. Readers may mark slots as read as fast as this function looks at them, so
// after two rounds the next slot leaves, read or not.
func (w *window) excess() *slot {
	for looks := 0; w.count > w.size; looks++ {
		w.trim()
		s := w.queue[0]
		if s != w.newest && (!s.read.Load() || looks > 2*w.count) {
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
	w.queue, w.first, w.count, w.newest = nil, 0, 0, nil
}
