// Package link tells the nodes of a fleet which keys have changed.
//
// A Link publishes the keys that its node changes and hands over those that other nodes name.
// What it promises is not that every message arrives, but that it is known when one may not
// have: each message has the publisher's sequence number, each publisher sends heartbeats that
// say how far it has come, and a Link listens for its own. A subscription that breaks, a
// heartbeat that is missing and a number that does not come are gaps.
//
// The files: link.go starts and ends it and listens for itself, line.go keeps a subscription,
// outbox.go publishes, inbox.go judges what has arrived, message.go is the wire format.
package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Bus carries the messages; see remote.Bus.
type Bus interface {
	Publish(ctx context.Context, channel string, message []byte) error
	Subscribe(ctx context.Context, channels []string, ready func(), receive func(channel string, message []byte)) error
}

// Config says what a Link connects. The functions are called from goroutines of the Link, one
// call at a time, but for Gap.
type Config struct {
	Bus Bus
	// Changes is the channel of changes, Signals that of heartbeats and other signals.
	Changes, Signals string
	CacheName        string
	SourceID         string
	Instance         string // unlike that of any other Link
	// Heartbeat is how often a heartbeat is sent; three that are missing are a gap.
	Heartbeat time.Duration

	// Changed is told of keys that other nodes have changed. It must not keep the slice.
	Changed func(keys []string)
	// Filled is told of keys whose values others wait for, and which another node has stored.
	Filled func(keys []string)
	// Down is called when messages begin to be missed, Up when they no longer are; there are
	// as many calls of the one as of the other in the end, and Down comes first.
	Down, Up func()
	// Gap is called when messages were missed, though no more are.
	Gap func(why string)
	// Broken is told of why a subscription has ended.
	Broken func(err error)
	// Warn is told of what else an operator should know.
	Warn func(format string, v ...any)
}

// missedHeartbeats is how many heartbeats may be missing.
const missedHeartbeats = 3

// publishTimeout bounds a call of the bus.
const publishTimeout = 2 * time.Second

// Link is the connection of one cache to the others.
type Link struct {
	cfg    Config
	line   Line
	out    outbox
	in     inbox
	cancel context.CancelFunc
	ended  chan struct{} // closed when the heartbeats have ended

	start time.Time
	echo  atomic.Int64 // when the newest of our own heartbeats that came back was sent, by clock
}

// State is what is known of a Link.
type State struct {
	Ready    bool      // it hears the others
	Since    time.Time // of Ready
	Err      error     // why the last subscription ended; nil: none has
	Gaps     uint64    // how often messages may have been missed, but for before the first subscription
	LastGap  time.Time
	GapCause string
	Sent     uint64 // messages
	Received uint64 // messages of others
	Waiting  int    // keys that have not been sent
	Nodes    int    // others that were heard lately
}

// Start returns a Link that is connecting.
func Start(cfg Config) *Link {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Link{cfg: cfg, cancel: cancel, ended: make(chan struct{}), start: time.Now()}
	l.out.init(&l.cfg, l.clock)
	l.in.init(&l.cfg)
	l.line = Line{Open: l.subscribe, Down: cfg.Down, Up: cfg.Up, Failed: cfg.Broken}
	l.line.Start()
	go l.beat(ctx)
	return l
}

// WaitReady waits until the first subscription is ready or has failed, for bound at most.
func (l *Link) WaitReady(bound time.Duration) { l.line.WaitReady(bound) }

var errSilent = errors.New("the node's own heartbeats do not come back in time")

// subscribe subscribes and returns why that has ended.
func (l *Link) subscribe(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	isReady, done := make(chan struct{}), make(chan struct{})
	var readyOnce sync.Once
	defer close(done)
	go l.watch(isReady, done, cancel)
	err := l.cfg.Bus.Subscribe(ctx, []string{l.cfg.Changes, l.cfg.Signals},
		func() {
			l.heard(l.clock())
			l.in.restart()
			ready()
			l.out.nudge()
			readyOnce.Do(func() { close(isReady) }) // some bus may call it twice
		},
		func(channel string, message []byte) {
			if sent, own := l.in.receive(channel, message); own {
				l.heard(sent)
			}
		})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// watch ends a subscription by cancel when the node does not hear itself any more.
func (l *Link) watch(isReady, done <-chan struct{}, cancel context.CancelCauseFunc) {
	select {
	case <-isReady:
	case <-done:
		return
	}
	ticker := time.NewTicker(l.cfg.Heartbeat / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if silence := l.silence(); silence >= missedHeartbeats*l.cfg.Heartbeat {
				cancel(fmt.Errorf("%w: for %s", errSilent, silence.Round(time.Millisecond)))
				return
			}
		case <-done:
			return
		}
	}
}

// clock is the time since the Link was started. No other node's is ever compared with it.
func (l *Link) clock() time.Duration { return time.Since(l.start) }

// heard notes that a heartbeat of our own has come back that was sent at a time of clock. When
// it comes back does not count: a change that has been told, and has not arrived, is behind it,
// so on a slow line changes are as late as heartbeats are, however regularly these arrive.
func (l *Link) heard(sent time.Duration) {
	for {
		before := l.echo.Load()
		if int64(sent) <= before || l.echo.CompareAndSwap(before, int64(sent)) {
			return
		}
	}
}

// silence is for how long changes may have been told that have not arrived.
func (l *Link) silence() time.Duration { return l.clock() - time.Duration(l.echo.Load()) }

// gap notes that messages were missed.
func (l *Link) gap(why string) {
	l.line.NoteGap(why)
	l.cfg.Gap(why)
}

// beat sends heartbeats and looks for those of the others, until ctx ends.
func (l *Link) beat(ctx context.Context) {
	defer close(l.ended)
	ticker := time.NewTicker(l.cfg.Heartbeat)
	defer ticker.Stop()
	last := time.Now()
	var sending atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		if sending.CompareAndSwap(false, true) {
			wg.Go(func() { // the bus may take its time
				defer sending.Store(false)
				l.out.heartbeat(ctx)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		if pause := now.Sub(last); pause > missedHeartbeats*l.cfg.Heartbeat {
			// The whole process stood still: what has arrived meanwhile is not dealt with yet.
			l.in.restart()
			l.gap(fmt.Sprintf("this process stood still for %s", pause.Round(time.Millisecond)))
		}
		last = now
		if why := l.in.judge(now); why != "" && l.line.Ready() {
			l.gap(why)
		}
	}
}

// State returns what is known of the Link.
func (l *Link) State() State {
	s := State{Sent: l.out.sent.Load(), Waiting: l.out.size()}
	s.Received, s.Nodes = l.in.stats()
	l.line.AddTo(&s)
	return s
}

// Close sends what waits, tells the others that this node leaves, and ends the Link, for bound
// each at most. Down has been called afterwards, and Up has not. It returns how many keys at
// least were not sent.
func (l *Link) Close(bound time.Duration) (unsent int) {
	unsent = l.out.close(bound)
	l.cancel()
	l.line.Close(bound)
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-l.ended:
	case <-timer.C: // the bus holds a heartbeat back, and ends that in its own time
	}
	return unsent
}
