package link

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// outbox publishes changes, one call at a time. Keys that change during a publication wait, and are
// sent together after it, so that many changes at a time make few messages.
type outbox struct {
	link    *Link
	cfg     *Config
	sent    atomic.Uint64 // messages that the bus has taken
	beating atomic.Bool   // heartbeats are sent, and other nodes expect more

	// publishing is held while changes are published, so that they are published in the order of
	// their numbers.
	publishing sync.Mutex
	seq        uint64        // guarded by publishing: the number of the newest change that has one
	done       atomic.Uint64 // all changes up to this number were published or given up; written with publishing held
	unsent     int           // guarded by publishing: keys that were given up

	mu      sync.Mutex
	waiting *pending      // guarded by mu: the keys that wait; nil if there are none
	running bool          // guarded by mu: the sending goroutine runs
	failing error         // guarded by mu: why the last attempt failed; nil if it did not
	closed  bool          // guarded by mu
	wake    chan struct{} // an element ends a pause between two attempts
	idle    chan struct{} // guarded by mu: closed when the sending goroutine has ended
}

const (
	// maxKeys bounds the number of keys in a message.
	maxKeys = 1000
	// maxMessages bounds the number of messages in a call, as the server serves nobody else
	// meanwhile.
	maxMessages = 20
	// maxWaiting bounds the number of keys that wait. If there are more, they are dropped, and
	// a number is left out, so that the other nodes notice a missing message.
	maxWaiting = 1 << 17
)

// Errors of Tell.
var (
	errOverflow = errors.New("too many changes wait to be sent")
	errClosed   = errors.New("the cache is closed")
)

func (o *outbox) init(l *Link) {
	o.link, o.cfg = l, &l.cfg
	o.wake = make(chan struct{}, 1)
}

// Tell publishes that keys have changed, in an event of this type. It does not wait for that: the
// Receipt does. After Close, and if too many keys wait, the Receipt has an error and the keys are
// not published.
func (l *Link) Tell(event int, keys []string) *Receipt {
	l.attend()
	return l.out.add(event, keys)
}

func (o *outbox) add(event int, keys []string) *Receipt {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return settled(errClosed)
	}
	p := o.waiting
	if p == nil {
		p = &pending{keys: make(map[int]map[string]struct{})}
		o.waiting = p
	}
	if !o.running {
		o.running, o.idle = true, make(chan struct{})
		go o.run()
	}
	if p.n >= maxWaiting {
		p.overflow = true
		return settled(errOverflow)
	}
	p.add(event, keys)
	if o.failing != nil { // the keys will be sent, but it is not known when
		return settled(o.failing)
	}
	if p.receipt == nil {
		p.receipt = &Receipt{done: make(chan struct{})}
	}
	return p.receipt
}

// run sends until no keys wait.
func (o *outbox) run() {
	for {
		o.mu.Lock()
		p := o.waiting
		o.waiting = nil
		if p == nil {
			o.running = false
			close(o.idle)
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		o.send(p)
	}
}

// send publishes keys. It tries until it succeeds or the Link is closed.
func (o *outbox) send(p *pending) {
	o.publishing.Lock()
	defer o.publishing.Unlock()
	pause := firstPause
	for rest := p.messages(); len(rest) > 0 || p.overflow; {
		n, err := o.publishSome(rest)
		closed := o.setFailing(err)
		switch {
		case err == nil:
			o.done.Store(o.seq)
			o.sent.Add(uint64(n))
			if len(rest) == 0 {
				p.overflow = false
				o.cfg.Warn("more than %d changed keys waited to be sent to the other nodes, so some were dropped; the other nodes notice it as a gap", maxWaiting)
			}
			rest = rest[n:]
			continue
		case closed:
			o.giveUp(rest)
			p.settle(err)
			return
		}
		p.settle(err)
		select {
		case <-time.After(pause):
		case <-o.wake:
		}
		pause = min(2*pause, lastPause)
	}
	p.settle(nil)
}

// publishSome publishes the first of messages, and returns how many. Without messages, it leaves a
// number out.
func (o *outbox) publishSome(messages []*change) (n int, err error) {
	hub := o.link.hub
	numbered := hub.numbered(o.link.stream)
	if !hub.tokens() {
		messages = messages[:min(len(messages), 1)]
	}
	messages = messages[:min(len(messages), maxMessages)]
	data := make([][]byte, len(messages))
	for i, m := range messages {
		if numbered && m.Seq == 0 {
			o.seq++
			m.Seq = o.seq
		}
		m.CacheName, m.SourceID, m.Instance = o.cfg.CacheName, o.cfg.SourceID, o.cfg.Instance
		data[i] = encode(m)
	}
	if len(messages) == 0 && numbered {
		o.seq++ // no message gets this number
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	switch {
	case hub.tokens():
		err = o.link.seq.PublishNext(ctx, o.cfg.Changes, data...)
		if errors.Is(err, remote.ErrUnsupported) {
			hub.refuse(err) // the next attempt does without tokens
			o.nudge()
		}
	case len(data) > 0:
		err = o.cfg.Bus.Publish(ctx, o.cfg.Changes, data[0])
	}
	return len(messages), err
}

// giveUp records that messages will not be published. Nodes that expect their numbers notice it. For
// the others, giveUp leaves a number out, if the bus works again.
func (o *outbox) giveUp(messages []*change) {
	o.done.Store(o.seq)
	for _, m := range messages {
		o.unsent += len(m.Keys)
	}
	o.unsent = max(o.unsent, 1)
	if !o.link.hub.tokens() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	_ = o.link.seq.PublishNext(ctx, o.cfg.Changes) // Close reports the keys in any case
}

// setFailing records how the last attempt ended. If it failed, setFailing settles the Receipt of
// the keys that wait, too: they have no attempt soon. It reports whether the Link is closed.
func (o *outbox) setFailing(err error) (closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing = err
	if err != nil {
		o.waiting.settle(err)
	}
	return o.closed
}

// publishSignal publishes a signal.
func (o *outbox) publishSignal(ctx context.Context, m signal) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return o.cfg.Bus.Publish(ctx, o.cfg.Signals, encode(m))
}

// nudge ends the pause between two attempts.
func (o *outbox) nudge() { nudge(o.wake) }

// signal returns a signal with the number of the newest change that was published or given up.
func (o *outbox) signal() signal {
	return signal{
		SourceID: o.cfg.SourceID, Instance: o.cfg.Instance,
		Sent: o.done.Load(), Tokens: o.link.hub.tokens(),
	}
}

// heartbeat publishes a heartbeat, or that there will be no more. It does not count the change that
// is being published now.
func (o *outbox) heartbeat(ctx context.Context, more bool) {
	m := o.signal()
	m.Leaving = !more
	m.At = int64(o.link.hub.clock())
	err := o.publishSignal(ctx, m) // the nodes that expect it notice that it is missing
	o.beating.Store(more || o.beating.Load() && err != nil)
}

// TellFilled publishes that keys were stored in the remote store, for the nodes that wait for them.
// It tries once and waits for that; a message that is lost is not a gap.
func (l *Link) TellFilled(ctx context.Context, keys []string) error {
	m := l.out.signal()
	m.Filled = keys
	if !l.out.beating.Load() && m.Tokens {
		m.Sent, m.Leaving = 0, true // no node expects heartbeats after this signal
	}
	return l.out.publishSignal(ctx, m)
}

// Announce returns an announcement that keys have changed, in an event of this type, for the change
// that makes it. It returns nil if the change cannot carry it now. Then use Tell. It may be nil at
// any time, for example while nodes without tokens are heard.
func (l *Link) Announce(event int, keys []string) *remote.Announcement {
	o := &l.out
	if !l.cfg.Carries || len(keys) == 0 || len(keys) > maxKeys || !l.hub.proven.Load() || l.hub.numbered(l.stream) {
		return nil
	}
	o.mu.Lock()
	closed := o.closed
	o.mu.Unlock()
	if closed {
		return nil
	}
	return &remote.Announcement{Channel: o.cfg.Changes, Message: encode(&change{
		CacheName: o.cfg.CacheName, SourceID: o.cfg.SourceID, Instance: o.cfg.Instance, EventType: event, Keys: keys,
	})}
}

// Announced records that an announcement of Announce was published, if it was.
func (l *Link) Announced(a *remote.Announcement) {
	if a != nil && a.Sent {
		l.out.sent.Add(1)
	}
}

// size returns the number of keys that wait.
func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting == nil {
		return 0
	}
	return o.waiting.n
}

// close sends the keys that wait, for at most bound, and publishes that this node leaves. It
// returns the number of keys that were not sent; there may have been more.
func (o *outbox) close(bound time.Duration) (unsent int) {
	o.mu.Lock()
	running, idle := o.running, o.idle
	o.closed = true
	o.mu.Unlock()
	o.nudge()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	if running {
		select {
		case <-idle:
		case <-timer.C:
			return max(1, o.size())
		}
	}
	o.publishing.Lock()
	unsent = o.unsent
	o.publishing.Unlock()
	if !o.beating.Load() {
		return unsent
	}
	// A heartbeat that arrives after this one would look like that of a node that has died later.
	select {
	case o.link.sending <- struct{}{}: // it stays there
	case <-timer.C:
		return unsent
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		o.heartbeat(context.Background(), false) // without it, the other nodes notice a missing heartbeat
	}()
	select {
	case <-left:
	case <-timer.C:
	}
	return unsent
}
