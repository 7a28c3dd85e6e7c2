package link

import (
	"context"
	"errors"
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

	status
	cancel context.CancelFunc
	ended  chan struct{}
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
	l.ended = make(chan struct{})
	l.begin(l.Down, l.Up)
	go l.run(ctx)
}

func (l *Line) run(ctx context.Context) {
	defer close(l.ended)
	defer l.tried()
	pause := firstPause
	for attempt := uint64(1); ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := l.Open(ctx, func() { l.becameReady(attempt) })
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errEnded
		}
		l.lost(attempt, err)
		l.Failed(err)
		l.tried()
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

// Close ends the subscription and waits for its end, for at most bound. Call it once.
func (l *Line) Close(bound time.Duration) {
	l.close()
	l.cancel()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-l.ended:
	case <-timer.C: // Open hangs; the goroutine ends when Open returns
	}
}
