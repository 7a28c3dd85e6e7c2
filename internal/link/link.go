// Package link tells the nodes of a fleet which keys have changed.
//
// A Link publishes the keys that its node changes, and reports the keys that other nodes change.
// It does not promise that every message arrives. It promises to report a gap whenever a message
// may have been lost. For that, each message has a sequence number of its publisher, each
// publisher sends heartbeats with its newest number, and a Link checks that its own heartbeats
// come back. A broken subscription, missing heartbeats and a missing number are gaps.
//
// The files:
//
//   - link.go starts and ends a Link, and checks that it hears itself.
//   - line.go keeps a subscription alive.
//   - outbox.go publishes changes.
//   - inbox.go receives messages and notices missing ones.
//   - message.go is the wire format.
package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Bus carries the messages. It is remote.Bus, which says what its methods do.
type Bus interface {
	Publish(ctx context.Context, channel string, message []byte) error
	Subscribe(ctx context.Context, channels []string, ready func(), receive func(channel string, message []byte)) error
}

// Config configures a Link. All fields must be set. The functions are called by goroutines of the
// Link, and Down also by Start and Close. They must be safe for concurrent use, but Changed and
// Filled are called one at a time.
type Config struct {
	Bus Bus
	// Changes is the channel of changes. Signals is the channel of heartbeats and other signals.
	Changes, Signals string
	CacheName        string
	SourceID         string
	Instance         string // differs from that of every other Link
	// Heartbeat is the interval of heartbeats. If none arrives for three intervals, that is a gap.
	Heartbeat time.Duration

	// Changed receives keys that other nodes have changed. It must not keep the slice.
	Changed func(keys []string)
	// Filled receives keys that another node has stored in the remote store, and whose values
	// other nodes may wait for. It must not keep the slice.
	Filled func(keys []string)
	// Down is called when messages begin to be lost, Up when no more are lost. Start calls Down.
	// Each Up ends one Down. After Close, there was one Down more than Up.
	Down, Up func()
	// Gap is called when messages may have been lost, but no more are lost now.
	Gap func(why string)
	// Broken receives the reason why a subscription has ended.
	Broken func(err error)
	// Warn receives what else an operator should know, for the log.
	Warn func(format string, v ...any)
}

// missedHeartbeats is the number of heartbeat intervals without a heartbeat that make a gap.
const missedHeartbeats = 3

// publishTimeout bounds a call of Bus.Publish.
const publishTimeout = 2 * time.Second

// Link is the connection of one cache to the caches of other nodes. Make one with Start. Its
// methods may be called concurrently.
type Link struct {
	cfg    Config
	line   Line
	out    outbox
	in     inbox
	cancel context.CancelFunc
	ended  chan struct{} // closed when the heartbeats have ended

	start time.Time
	echo  atomic.Int64 // when the newest own heartbeat that has come back was sent, by clock
}

// State describes a Link at one moment.
type State struct {
	Ready    bool      // the Link hears the other nodes
	Since    time.Time // when Ready last changed
	Err      error     // why the last subscription ended; nil if none has ended
	Gaps     uint64    // number of gaps, without the time before the first subscription
	LastGap  time.Time // zero if there was no gap
	GapCause string    // of the last gap
	Sent     uint64    // messages that were sent
	Received uint64    // messages of other nodes that were received
	Waiting  int       // keys that wait to be sent
	Nodes    int       // other nodes that were heard lately
}

// Start returns a Link that is connecting. It calls cfg.Down before it returns. The caller must
// end the Link with Close.
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

// WaitReady waits until the first subscription is ready or has failed, for at most bound.
func (l *Link) WaitReady(bound time.Duration) { l.line.WaitReady(bound) }

var errSilent = errors.New("the node's own heartbeats do not come back in time")

// subscribe subscribes, and returns the reason when the subscription has ended.
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
			readyOnce.Do(func() { close(isReady) }) // a bus of a user's own may call it twice
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

// watch ends a subscription by cancel when the Link does not hear its own heartbeats any more.
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

// clock returns the time since the Link was started. It is never compared with the clock of
// another node.
func (l *Link) clock() time.Duration { return time.Since(l.start) }

// heard records that an own heartbeat has come back. sent is when it was sent, by clock. The time
// of its arrival does not count. On a slow connection, heartbeats arrive at regular intervals, but
// all of them are late, and so are the changes: whatever was published after this heartbeat may
// still be on its way.
func (l *Link) heard(sent time.Duration) {
	for {
		before := l.echo.Load()
		if int64(sent) <= before || l.echo.CompareAndSwap(before, int64(sent)) {
			return
		}
	}
}

// silence returns the age of the newest own heartbeat that has come back. Changes that are younger
// may not have arrived.
func (l *Link) silence() time.Duration { return l.clock() - time.Duration(l.echo.Load()) }

// gap records and reports that messages may have been lost.
func (l *Link) gap(why string) {
	l.line.NoteGap(why)
	l.cfg.Gap(why)
}

// beat sends heartbeats and looks for gaps, until ctx ends.
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
			wg.Go(func() { // the bus may be slow
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
			// The whole process was stopped. Messages that arrived meanwhile are still to be
			// received, so the heartbeats of the other nodes cannot be judged yet.
			l.in.restart()
			l.gap(fmt.Sprintf("this process stood still for %s", pause.Round(time.Millisecond)))
		}
		last = now
		if why := l.in.judge(now); why != "" && l.line.Ready() {
			l.gap(why)
		}
	}
}

// State describes the Link.
func (l *Link) State() State {
	s := State{Sent: l.out.sent.Load(), Waiting: l.out.size()}
	s.Received, s.Nodes = l.in.stats()
	l.line.AddTo(&s)
	return s
}

// Close ends the Link. It sends the keys that wait, publishes that this node leaves, and waits for
// the goroutines of the Link. Each of these three steps takes at most bound. Close returns the
// number of keys that were not sent; there may have been more. Call it once.
func (l *Link) Close(bound time.Duration) (unsent int) {
	unsent = l.out.close(bound)
	l.cancel()
	l.line.Close(bound)
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-l.ended:
	case <-timer.C: // the bus hangs in Publish; the goroutine ends when Publish returns
	}
	return unsent
}
