package schedule

import (
	"container/heap"
	"runtime/debug"
	"time"
	"weak"
)

// dispatchLocked starts the runs that are due and have a place, and sets the timer for the next
// one. It is called whenever a task may have become due earlier or a place may have become free.
func (s *Scheduler[J]) dispatchLocked() {
	if s.closed {
		return
	}
	now := time.Now()
	for i := range s.pools {
		p := &s.pools[i]
		for len(p.waiting) > 0 && s.hasPlaceLocked(i) && !p.waiting[0].due.After(now) {
			t := p.waiting[0]
			switch {
			case t.markRemoved(func(latest time.Time) bool { return s.idle(t, latest) }):
				s.removeLocked(t)
			case s.active[t.key]: // a run of a removed task of the same key is under way
				t.due = now.Add(s.Interval / 10)
				heap.Fix(&p.waiting, 0)
			default:
				heap.Pop(&p.waiting)
				s.active[t.key] = true
				p.active++
				s.runs.Add(1)
				go s.run(t, i)
			}
		}
		if len(p.waiting) > 0 && s.hasPlaceLocked(i) {
			s.wakeLocked(now, p.waiting[0].due)
		}
	}
}

// idle reports whether a task whose newest touch was at latest has been idle for too long. A task
// that is due late is judged by its nominal time, so that it is not idle for that alone.
func (s *Scheduler[J]) idle(t *task[J], latest time.Time) bool {
	at := t.nominal
	if t.due.Before(at) {
		at = t.due
	}
	return at.Sub(latest) > s.Idle
}

// hasPlaceLocked reports whether a pool has a place for another run.
func (s *Scheduler[J]) hasPlaceLocked(pool int) bool {
	p := &s.pools[pool]
	if pool == healthy {
		return p.active-s.lent < p.places
	}
	return p.active < p.places
}

// wakeLocked sets the timer to fire at that time, unless it fires before. To fire too early does
// no harm.
func (s *Scheduler[J]) wakeLocked(now, at time.Time) {
	if !s.wakeAt.IsZero() && !at.Before(s.wakeAt) {
		return
	}
	s.wakeAt = at
	if s.timer != nil {
		s.timer.Reset(at.Sub(now))
		return
	}
	// The timer must not keep alive a scheduler that nobody uses any more.
	self := weak.Make(s)
	s.timer = time.AfterFunc(at.Sub(now), func() {
		if s := self.Value(); s != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.wakeAt = time.Time{}
			s.dispatchLocked()
		}
	})
}

// run runs a task once and lets it wait for its next run.
func (s *Scheduler[J]) run(t *task[J], pool int) {
	defer s.runs.Done()
	ended, lent := false, false // guarded by mu
	slow := time.AfterFunc(s.Slow, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !ended && pool == healthy && s.lent < lentFactor*s.Workers {
			lent = true
			s.lent++
			s.dispatchLocked()
		}
	})
	defer slow.Stop()
	var next Next
	defer func() { // deferred, as Run may end its goroutine
		s.mu.Lock()
		defer s.mu.Unlock()
		ended = true
		if lent {
			s.lent--
		}
		delete(s.active, t.key)
		s.pools[pool].active--
		if !t.removed.Load() {
			s.requeueLocked(t, next)
		}
		s.dispatchLocked()
	}()
	defer func() {
		if v := recover(); v != nil {
			s.Panicked(t.key, v, debug.Stack())
		}
	}()
	next = s.Run(s.ctx, t.key, t.latest.Load().job, t.attempt)
}

// requeueLocked lets a task wait for its next run.
func (s *Scheduler[J]) requeueLocked(t *task[J], next Next) {
	if next.Again > 0 {
		t.attempt++
		t.due = time.Now().Add(next.Again)
	} else {
		t.attempt = 0
		// Skip the intervals that a long run has missed.
		missed := max(0, time.Since(t.nominal.Add(t.offset))).Truncate(s.Interval)
		t.nominal = t.nominal.Add(missed + s.Interval)
		t.due = t.nominal.Add(t.offset + next.Delay)
	}
	t.pool = healthy
	if next.Suspect {
		t.pool = suspects
	}
	heap.Push(&s.pools[t.pool].waiting, t)
}
