package link

import (
	"sync"
	"time"
)

// status is whether messages are heard, and since when, and which gaps there were. Its owner calls
// begin first. Then the methods may be called concurrently.
type status struct {
	down, up func() // set by begin

	first     chan struct{} // closed when the first subscription is ready, or has failed
	firstOnce sync.Once

	mu     sync.Mutex
	ready  bool      // guarded by mu
	closed bool      // guarded by mu
	over   uint64    // guarded by mu: attempts up to this one have failed
	since  time.Time // guarded by mu: when ready last changed
	err    error     // guarded by mu: why the last subscription ended

	gaps     uint64    // guarded by mu
	lastGap  time.Time // guarded by mu
	gapCause string    // guarded by mu
}

// begin calls down. From then on, each call of up ends one of down. After close, there was one down
// more than up.
func (s *status) begin(down, up func()) {
	s.down, s.up = down, up
	s.first, s.since = make(chan struct{}), time.Now()
	down()
}

// tried ends WaitReady: the first subscription is ready, or has failed.
func (s *status) tried() { s.firstOnce.Do(func() { close(s.first) }) }

// becameReady records that the subscription of an attempt is ready. It does nothing if the attempt
// has failed meanwhile.
func (s *status) becameReady(attempt uint64) {
	s.mu.Lock()
	if s.ready || s.closed || attempt <= s.over {
		s.mu.Unlock()
		return
	}
	s.ready, s.since = true, time.Now()
	s.mu.Unlock()
	s.up()
	s.tried()
}

// lost records that an attempt and all earlier ones have failed.
func (s *status) lost(attempt uint64, err error) {
	s.mu.Lock()
	was := s.ready
	s.err, s.over = err, attempt
	if was {
		s.ready, s.since = false, time.Now()
		s.noteGapLocked(err.Error())
	}
	s.mu.Unlock()
	if was {
		s.down()
	}
}

// close makes the status unready for good.
func (s *status) close() {
	s.mu.Lock()
	was := s.ready
	s.ready, s.closed = false, true
	s.mu.Unlock()
	if was {
		s.down()
	}
}

// Ready reports whether the subscription is ready, so that no messages are lost.
func (s *status) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// WaitReady waits until the first subscription is ready or has failed, for at most bound.
func (s *status) WaitReady(bound time.Duration) {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-s.first:
	case <-timer.C:
	}
}

// AddTo sets the fields of st that describe the subscription and its gaps.
func (s *status) AddTo(st *State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Ready, st.Since, st.Err = s.ready, s.since, s.err
	st.Gaps, st.LastGap, st.GapCause = s.gaps, s.lastGap, s.gapCause
}

// NoteGap records that messages may have been lost, although the subscription is ready.
func (s *status) NoteGap(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteGapLocked(why)
}

func (s *status) noteGapLocked(why string) {
	s.gaps++
	s.lastGap, s.gapCause = time.Now(), why
}
