// Package link tells the nodes of a fleet which keys have changed.
//
// A Link publishes the keys that its node changes, and reports the keys that other nodes change.
// It does not promise that every message arrives. It promises to report a gap whenever a message
// may have been lost.
//
// If the bus has tokens (remote.Sequencer), each message has the next token of its channel. A Link
// reads the newest token once an interval, and then waits until its subscription has delivered
// everything that was published before. So it knows whether all messages have arrived, and what it
// costs does not depend on the number of nodes. All Links of a process over one client share that.
//
// A node may die between a change and its message. If the two are one call, nothing happened. Otherwise
// its Link is a member of the channel (remote.Presence), and the other nodes notice a gap when a
// member does not renew itself.
//
// On any other bus, each message has a sequence number of its publisher, each publisher sends
// heartbeats with its newest number, and a Link checks that its own heartbeats come back. A fleet may
// have nodes of both kinds. Nodes with tokens send numbers and heartbeats, too, while they hear the
// heartbeats of nodes without.
//
// The files:
//
//   - link.go starts and ends a Link.
//   - hub.go has what Links share; receive.go passes messages on, and beat.go sends heartbeats where
//     nodes need them, and knows until when messages have arrived for certain.
//   - session.go has a subscription, and checks the tokens.
//   - line.go subscribes again when a subscription ends; status.go says whether it is ready.
//   - presence.go makes members of Links whose death must be noticed.
//   - sequence.go notices missing messages by their tokens.
//   - peers.go notices missing messages by the numbers and heartbeats of their publishers.
//   - outbox.go publishes changes; pending.go has the keys that wait for that.
//   - message.go is the wire format.
package link

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
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
	// Heartbeat is the interval of heartbeats, and of checks of the tokens. If none succeeds for
	// three intervals, that is a gap. Links that share a hub use the shortest of their intervals.
	Heartbeat time.Duration
	// Carries reports whether the changes of keys can carry announcements on Changes: the bus is
	// the remote store itself, and that can do so. See remote.Carrier.
	Carries bool

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

// missedHeartbeats is the number of intervals without a heartbeat, or without a check of the tokens,
// that make a gap.
const missedHeartbeats = 3

// publishTimeout bounds a call that publishes.
const publishTimeout = 2 * time.Second

// Link is the connection of one cache to the caches of other nodes. Make one with Start. Its
// methods may be called concurrently.
type Link struct {
	cfg      Config
	seq      remote.Sequencer // cfg.Bus, if the channel has a token; otherwise nil
	status   status
	out      outbox
	received atomic.Uint64 // messages of other nodes
	sending  chan struct{} // has an element while a heartbeat is being sent, and after the last one
	member   membership

	// Set by hub.add.

	hub    *hub
	stream *stream

	calls struct {
		sync.Mutex
		over    bool // no function of the Config is called any more
		running sync.WaitGroup
	}
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
	Nodes    int       // other nodes that are there, as far as it is known
}

// Start returns a Link that is connecting. It calls cfg.Down before it returns. The caller must
// end the Link with Close.
func Start(cfg Config) *Link {
	l := &Link{cfg: cfg, sending: make(chan struct{}, 1)}
	if seq := remote.AsSequencer(cfg.Bus); seq != nil && seq.Group(cfg.Changes) != nil {
		l.seq = seq
	} else if _, embeds := cfg.Bus.(remote.Sequencer); embeds && seq == nil {
		cfg.Warn("the bus, a %T, embeds a remote.Sequencer, and may have a Publish or a Subscribe of its own; so the nodes notice missing messages by heartbeats; if it has none, give it a method SequencerOf that returns itself", cfg.Bus)
	}
	l.member.must.Store(l.seq != nil && !cfg.Carries)
	l.status.begin(cfg.Down, cfg.Up)
	l.out.init(l)
	join(l)
	return l
}

// WaitReady waits until the Link hears the other nodes, or the first attempt has failed, for at most
// bound.
func (l *Link) WaitReady(bound time.Duration) { l.status.WaitReady(bound) }

// Healthy reports whether the Link hears the other nodes now.
func (l *Link) Healthy() bool { return l.status.Ready() }

// within calls a function that calls those of the Config, unless the Link is closed.
func (l *Link) within(call func()) {
	l.calls.Lock()
	if l.calls.over {
		l.calls.Unlock()
		return
	}
	l.calls.running.Add(1)
	l.calls.Unlock()
	defer l.calls.running.Done()
	call()
}

// gap records and reports that messages may have been lost.
func (l *Link) gap(why string) {
	l.status.NoteGap(why)
	l.cfg.Gap(why)
}

// State describes the Link.
func (l *Link) State() State {
	s := State{Sent: l.out.sent.Load(), Received: l.received.Load(), Waiting: l.out.size(), Nodes: l.hub.nodes(l)}
	l.status.AddTo(&s)
	return s
}

// Close ends the Link. It sends the keys that wait, publishes that this node leaves, and waits for
// the goroutines of the Link, or of all Links that shared them if it was the last one. Each of these
// three steps takes at most bound. If all keys were sent, and the Link hears the other nodes, it
// ceases to be a member, in what is left of bound; otherwise the other nodes notice a gap soon. Close returns the number of keys that were not sent; there may
// have been more. Call it once.
func (l *Link) Close(bound time.Duration) (unsent int) {
	end := time.Now().Add(bound)
	unsent = l.out.close(bound)
	clean := unsent == 0 && l.Healthy()
	l.status.close()
	l.calls.Lock()
	l.calls.over = true
	l.calls.Unlock()
	l.hub.leave(l, bound)
	if clean {
		l.depart(time.Until(end))
	}
	l.calls.running.Wait()
	return unsent
}
