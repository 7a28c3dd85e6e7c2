package link

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Line keeps a subscription alive: when it ends, Line subscribes again. Set the functions, all of
// them, and call Start. The methods may be called concurrently.
type Line struct {
	// Open subscribes. It calls ready as soon as no message is lost any more. It returns the
	// reason when the subscription has ended.
	Open func(ctx context.Context, ready func()) error
	// Down is called when messages begin to be lost, Up when no more are lost. Start calls Down.
	// Each Up ends one Down. After Close, there was one Down more than Up.
	Down, Up func()
	// Failed receives the reason why a subscription has ended.
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

// The pause between two attempts doubles from firstPause up to lastPause.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// errEnded is the reason of an Open that returns without an error.
var errEnded = errors.New("the subscription has ended")

// Start calls Down and begins to subscribe. The caller must end the Line with Close.
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

// tried ends WaitReady: the first subscription is ready, or has failed.
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

// Ready reports whether the subscription is ready, so that no messages are lost.
func (l *Line) Ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready
}

// WaitReady waits until the first subscription is ready or has failed, for at most bound.
func (l *Line) WaitReady(bound time.Duration) {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-l.first:
	case <-timer.C:
	}
}

// AddTo sets the fields of s that describe the subscription and its gaps.
func (l *Line) AddTo(s *State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Ready, s.Since, s.Err = l.ready, l.since, l.err
	s.Gaps, s.LastGap, s.GapCause = l.gaps, l.lastGap, l.gapCause
}

// NoteGap records that messages may have been lost, although the subscription is ready.
func (l *Line) NoteGap(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteGapLocked(why)
}

func (l *Line) noteGapLocked(why string) {
	l.gaps++
	l.lastGap, l.gapCause = time.Now(), why
}

// Close ends the subscription and waits for its end, for at most bound. Call it once.
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
	case <-timer.C: // Open hangs; the goroutine ends when Open returns
	}
}
