package link

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Line keeps one subscription: when it ends, it is begun again.
type Line struct {
	// Open subscribes, calls ready when nothing is missed any more, and returns when the
	// subscription has ended, with the reason.
	Open func(ctx context.Context, ready func()) error
	// Down is called when messages begin to be missed, which they are from Start on, and Up when
	// they no longer are.
	Down, Up func()
	// Failed is told of why a subscription has ended.
	Failed func(err error)

	cancel context.CancelFunc
	ended  chan struct{}

	first     chan struct{} // closed when the first subscription is ready, or has failed
	firstOnce sync.Once

	mu     sync.Mutex
	ready  bool      // guarded by mu
	closed bool      // guarded by mu
	since  time.Time // guarded by mu: when ready last changed
	err    error     // guarded by mu: why the last subscription ended

	gaps     uint64    // guarded by mu
	lastGap  time.Time // guarded by mu
	gapCause string    // guarded by mu
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

var errEnded = errors.New("the subscription was ended")

// Start begins to subscribe.
func (l *Line) Start() {
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	l.ended, l.first, l.since = make(chan struct{}), make(chan struct{}), time.Now()
	l.Down()
	go l.run(ctx)
}

func (l *Line) run(ctx context.Context) {
	defer close(l.ended)
	defer l.tried()
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := l.Open(ctx, l.becameReady)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errEnded
		}
		l.failed(err)
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, lastPause)
	}
}

func (l *Line) tried() { l.firstOnce.Do(func() { close(l.first) }) }

func (l *Line) becameReady() {
	l.mu.Lock()
	if l.ready || l.closed {
		l.mu.Unlock()
		return
	}
	l.ready, l.since = true, time.Now()
	l.mu.Unlock()
	l.Up()
	l.tried()
}

func (l *Line) failed(err error) {
	l.mu.Lock()
	was := l.ready
	l.err = err
	if was {
		l.ready, l.since = false, time.Now()
		l.noteGapLocked(err.Error())
	}
	l.mu.Unlock()
	if was {
		l.Down()
	}
	l.Failed(err)
	l.tried()
}

// Ready reports whether nothing is missed.
func (l *Line) Ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready
}

// WaitReady waits until the first subscription is ready or has failed, for bound at most.
func (l *Line) WaitReady(bound time.Duration) {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-l.first:
	case <-timer.C:
	}
}

// AddTo puts what is known of the line into s.
func (l *Line) AddTo(s *State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Ready, s.Since, s.Err = l.ready, l.since, l.err
	s.Gaps, s.LastGap, s.GapCause = l.gaps, l.lastGap, l.gapCause
}

// NoteGap notes that messages were missed, though none are any more.
func (l *Line) NoteGap(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteGapLocked(why)
}

func (l *Line) noteGapLocked(why string) {
	l.gaps++
	l.lastGap, l.gapCause = time.Now(), why
}

// Close ends the subscription and waits for that, for bound at most. Down has been called then,
// and Up has not.
func (l *Line) Close(bound time.Duration) {
	l.mu.Lock()
	was := l.ready
	l.ready, l.closed = false, true
	l.mu.Unlock()
	l.cancel()
	if was {
		l.Down()
	}
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-l.ended:
	case <-timer.C: // what was called ends in its own time
	}
}
