package link

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// hub is what the Links of a process over one client share: the subscription, and the checks that no
// message is missing. If the bus has no tokens, a hub has one Link.
type hub struct {
	group any              // of the channels; nil if there are no tokens
	bus   Bus              // of the first Link
	seq   remote.Sequencer // bus, if it has tokens; otherwise nil
	line  Line
	start time.Time
	echo  atomic.Int64 // all messages that were published before this moment, by clock, were received

	attendance *attendance

	cancel  context.CancelFunc
	running sync.WaitGroup
	beatNow chan struct{} // an element makes beat send heartbeats at once

	// plain says that the server refuses tokens, so that the Links need heartbeats. It holds for all
	// channels, although an ACL may refuse the key of one alone: the moment up to which everything was
	// received is one for the whole subscription, and either checks or heartbeats tell it.
	plain  atomic.Bool
	proven atomic.Bool // the server has tokens

	mu      sync.Mutex
	streams map[string]*stream // guarded by mu: by the channel of changes
	signals map[string]*stream // guarded by mu: by the channel of signals
	session *session           // guarded by mu: the subscription; nil if there is none
	attempt uint64             // guarded by mu: the number of subscriptions that were begun
	failure error              // guarded by mu: why the last check failed; nil if it did not
}

// stream is a pair of channels, and what is known of their messages.
type stream struct {
	changes, signals string
	links            []*Link // guarded by hub.mu; never changed, only replaced
	followers        int     // guarded by hub.mu: subscriptions of all processes; zero if it is not known

	mu    sync.Mutex
	seq   sequence // guarded by mu
	peers peers    // guarded by mu
	// unreadable says that a message could not be decoded since the last judge.
	unreadable bool // guarded by mu
}

// hubs are the hubs of the process that can be shared.
var hubs = struct {
	mu      sync.Mutex
	byGroup map[any]*hub // guarded by mu
}{byGroup: make(map[any]*hub)}

// join adds l to the hub of its bus and channel, and makes one if there is none.
func join(l *Link) {
	if l.seq == nil {
		h := newHub(l.cfg.Bus, nil)
		h.add(l)
		h.run()
		return
	}
	group := l.seq.Group(l.cfg.Changes)
	hubs.mu.Lock()
	h, found := hubs.byGroup[group]
	if !found {
		h = newHub(l.cfg.Bus, l.seq)
		h.group = group
		hubs.byGroup[group] = h
	}
	h.add(l)
	hubs.mu.Unlock()
	if !found {
		h.run()
	}
}

func newHub(bus Bus, seq remote.Sequencer) *hub {
	return &hub{
		bus: bus, seq: seq, attendance: newAttendance(seq), start: time.Now(), beatNow: make(chan struct{}, 1),
		streams: make(map[string]*stream), signals: make(map[string]*stream),
	}
}

func (h *hub) run() {
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(context.Background())
	h.line = Line{Open: h.open, Down: func() {}, Up: func() {}, Failed: h.failed}
	h.line.Start()
	h.running.Go(func() { h.beat(ctx) })
}

// add adds l. The caller holds hubs.mu if the hub can be shared.
func (h *hub) add(l *Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	st := h.streams[l.cfg.Changes]
	if st == nil {
		st = &stream{changes: l.cfg.Changes, signals: l.cfg.Signals}
		st.peers.restart(missedHeartbeats * l.cfg.Heartbeat)
		h.streams[st.changes], h.signals[st.signals] = st, st
	}
	st.links = append(slices.Clone(st.links), l)
	l.hub, l.stream = h, st
	if h.session != nil {
		h.session.kick()
	}
	nudge(h.beatNow) // l may have the shortest heartbeat
}

// leave removes l. If it was the last Link, leave ends the hub, in at most bound.
func (h *hub) leave(l *Link, bound time.Duration) {
	hubs.mu.Lock()
	h.mu.Lock()
	st := l.stream
	st.links = slices.DeleteFunc(slices.Clone(st.links), func(other *Link) bool { return other == l })
	if len(st.links) == 0 {
		delete(h.streams, st.changes)
		delete(h.signals, st.signals)
	}
	last := len(h.streams) == 0
	if last && h.group != nil {
		delete(hubs.byGroup, h.group)
	}
	if h.session != nil {
		h.session.kick()
	}
	h.mu.Unlock()
	hubs.mu.Unlock()
	if last {
		h.end(bound)
	}
}

// end ends the subscription and all goroutines, in at most twice bound.
func (h *hub) end(bound time.Duration) {
	h.cancel()
	h.line.Close(bound)
	ended := make(chan struct{})
	go func() {
		h.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C: // the bus hangs in a call; the goroutines end when it returns
	}
}

// heartbeat returns the shortest interval of heartbeats of the Links.
func (h *hub) heartbeat() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var shortest time.Duration
	for _, st := range h.streams {
		for _, l := range st.links {
			if shortest == 0 || l.cfg.Heartbeat < shortest {
				shortest = l.cfg.Heartbeat
			}
		}
	}
	return max(shortest, time.Millisecond)
}

// all returns the streams and the Links.
func (h *hub) all() (streams []*stream, links []*Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, st := range h.streams {
		streams = append(streams, st)
		links = append(links, st.links...)
	}
	return streams, links
}

// has reports whether st still has Links. A stream that has none does not receive messages any more.
func (h *hub) has(st *stream) bool { return len(h.linksOf(st)) > 0 }

// linksOf returns the Links of st.
func (h *hub) linksOf(st *stream) []*Link {
	h.mu.Lock()
	defer h.mu.Unlock()
	return st.links
}

// tokens reports whether messages have tokens.
func (h *hub) tokens() bool { return h.seq != nil && !h.plain.Load() }

// numbered reports whether messages on st need numbers, and the Links need to send heartbeats: some
// nodes have no tokens.
func (h *hub) numbered(st *stream) bool {
	if !h.tokens() {
		return true
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.peers.nodes) > 0
}

// nodes returns the number of other nodes that l knows of: with tokens, the other subscriptions and
// the other Links of the process.
func (h *hub) nodes(l *Link) (n int) {
	st := l.stream
	st.mu.Lock()
	for instance := range st.peers.nodes {
		if instance != l.cfg.Instance {
			n++
		}
	}
	st.mu.Unlock()
	if !h.tokens() {
		return n
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(n, max(st.followers-1, 0)+len(st.links)-1)
}

// failed tells the Links that the subscription has ended.
func (h *hub) failed(err error) {
	h.mu.Lock()
	attempt := h.attempt
	h.session = nil
	h.mu.Unlock()
	_, links := h.all()
	for _, l := range links {
		l.within(func() {
			l.status.lost(attempt, err)
			l.cfg.Broken(err)
			l.status.tried()
		})
	}
}

// gap tells the Links of a stream that messages may have been lost.
func (h *hub) gap(st *stream, why string) {
	for _, l := range h.linksOf(st) {
		if l.status.Ready() {
			l.within(func() { l.gap(why) })
		}
	}
}

// check makes the session check the tokens at once.
func (h *hub) check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session != nil {
		h.session.kick()
	}
}

// nudge puts an element into a channel of capacity 1.
func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
