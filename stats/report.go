package stats

import (
	"reflect"
	"sync"
	"time"
	"weak"

	"github.com/mgtv-tech/jetcache-go/logger"
)

// tableKey names a table. Every Stats with the same key has its rows in it.
type tableKey struct {
	interval time.Duration
	log      any // the logger, or a pointer that nobody else has if == cannot compare the logger
}

// keyOf returns the key of the table for these options.
func keyOf(o Options) tableKey {
	if reflect.ValueOf(o.log).Comparable() {
		return tableKey{o.interval, o.log}
	}
	return tableKey{o.interval, new(Options)}
}

// arm sets the timer for the end of the interval that now is in. All nodes of a fleet thus cover
// the same minutes in their tables. Call it with mu held.
func (s *Stats) arm(now time.Time) {
	wait := now.Truncate(s.table.interval).Add(s.table.interval).Sub(now)
	if s.timer != nil {
		s.timer.Reset(wait)
		return
	}
	self := weak.Make(s)
	s.timer = time.AfterFunc(wait, func() {
		if s := self.Value(); s != nil {
			s.tick()
		}
	})
}

// tick logs the table of this Stats, and sets the timer again.
func (s *Stats) tick() {
	now := time.Now()
	report(s.table, s.log, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.arm(now)
	}
}

// report logs one table of every Stats that belongs to it, is due and had traffic.
func report(key tableKey, log logger.Logger, now time.Time) {
	if rows := open.dueRows(key, now); len(rows) > 0 {
		log.Info("%s", table(key.interval, rows))
	}
}

// due returns what was counted since the last report and how long ago that was, and marks it as
// reported. ok is false if no interval has ended since then.
func (s *Stats) due(now time.Time) (delta counts, took time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.since.Before(now.Truncate(s.table.interval)) {
		return counts{}, 0, false
	}
	total := s.load()
	delta, took = total.minus(s.last), now.Sub(s.since)
	s.last, s.since = total, now
	return delta, took, true
}

// open has every Stats that is not closed. It does not keep them alive.
var open = registry{m: make(map[weak.Pointer[Stats]]struct{})}

type registry struct {
	mu sync.Mutex
	m  map[weak.Pointer[Stats]]struct{} // guarded by mu
}

func (r *registry) add(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.m[weak.Make(s)] = struct{}{}
}

func (r *registry) remove(p weak.Pointer[Stats]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.m, p)
}

// dueRows returns the rows of a table. The timers of all its Stats fire at the same time: the
// first to come here takes the rows of all, under the lock, and leaves none for the others.
func (r *registry) dueRows(key tableKey, now time.Time) (rows []row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.m {
		s := p.Value()
		if s == nil || s.table != key {
			continue
		}
		if delta, took, ok := s.due(now); ok && delta != (counts{}) {
			rows = append(rows, row{s.Name, delta, took})
		}
	}
	return rows
}
