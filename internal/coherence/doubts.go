package coherence

import (
	"sync/atomic"
	"time"
)

// source is how the link or tracking reports that it has lost messages, and that it hears again.
type source struct {
	down, up func()
	gap      func(why string)
}

func (s *Sync) source() source {
	doubts := s.cfg.Local.Doubts
	var upBefore atomic.Bool
	return source{
		down: func() {
			doubts.Down()
			s.part()
			if upBefore.Load() && !s.closed.Load() {
				s.cfg.Observe.SyncGap()
			}
		},
		up: func() {
			upBefore.Store(true)
			s.endDown()
			s.part()
			s.noteDoubted()
		},
		gap: func(why string) {
			doubts.Gap()
			s.part()
			s.cfg.Observe.SyncGap()
			s.cfg.Observe.Warn(s.gaps, "changes on other nodes may have been missed: %s; older entries of the local level are checked against the remote when they are read", why)
			s.noteDoubted()
		},
	}
}

// endDown ends a Down. Nothing is in doubt after it if nothing can be stored yet: the store is empty,
// and Start has not returned, so nobody has the cache.
func (s *Sync) endDown() {
	now := time.Now()
	oldest, known := s.cfg.Local.NoneBefore()
	empty := known && !oldest.Before(now)
	s.starting.Lock()
	defer s.starting.Unlock()
	s.cfg.Local.Doubts.Up(empty && !s.given)
}

// part makes sure that reads that begin from now on do not join loads that began before. A change
// of a key does that by itself, but only if this node hears of it. While the link is down, a load
// may be joined for a heartbeat at most.
//
// Without it, with a loader that takes long: (1) a load reads the old value from the database;
// (2) another node changes the value, and the message is lost; (3) this node notices the gap, and
// the local entry is in doubt; (4) a read, long after the change, joins the load and gets the old
// value.
func (s *Sync) part() {
	s.parting.Lock()
	defer s.parting.Unlock()
	var age time.Duration
	if s.cfg.Local.Doubts.Deaf() {
		age = s.cfg.Heartbeat
	}
	s.cfg.Part(age)
}

// noteDoubted has endDoubts look for the end of the doubts.
func (s *Sync) noteDoubted() {
	select {
	case s.doubted <- struct{}{}:
	default:
	}
}

// doubtCheck is how often endDoubts looks while anything is in doubt.
const doubtCheck = 10 * time.Second

// endDoubts ends the doubts when all entries that the store had at the gap are gone. It allows for
// entries that were being stored at that moment. It runs until Close.
func (s *Sync) endDoubts() {
	defer close(s.ended)
	doubts := s.cfg.Local.Doubts
	for {
		select {
		case <-s.doubted:
		case <-s.stop:
			return
		}
		for doubts.Any() {
			oldest, _ := s.cfg.Local.NoneBefore()
			if p := doubts.Now(); p != nil && oldest.After(p.Began.Add(doubtCheck)) {
				doubts.End(p)
			}
			select {
			case <-time.After(doubtCheck):
			case <-s.stop:
				return
			}
		}
	}
}
