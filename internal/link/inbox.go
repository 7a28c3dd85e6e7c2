package link

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// inbox receives the messages of other nodes and notices missing ones.
type inbox struct {
	cfg      *Config
	received atomic.Uint64

	mu         sync.Mutex
	peers      map[string]*peer // guarded by mu: the other nodes, by instance
	complete   time.Time        // guarded by mu: from this moment on, all running nodes are in peers
	unreadable bool             // guarded by mu: a message could not be decoded since the last judge
}

// peer is another node. The numbers are the Seq of its changes.
type peer struct {
	name     string          // its SourceID, or its Instance until that is known
	received uint64          // all changes up to this one were received
	ahead    map[uint64]bool // changes that were received although an earlier one was not
	sent     uint64          // the newest change that is known to have been published
	late     time.Time       // since when received is behind sent; zero if it is not
	heard    time.Time       // when the last message arrived
}

// maxAhead bounds peer.ahead.
const maxAhead = 4096

func (in *inbox) init(cfg *Config) {
	in.cfg = cfg
	in.restart()
}

// restart forgets the other nodes. Messages that they have sent until now are not missed any more.
func (in *inbox) restart() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.peers = make(map[string]*peer)
	in.complete = time.Now().Add(missedHeartbeats * in.cfg.Heartbeat)
	in.unreadable = false
}

// receive handles a message. own reports whether it was a signal of this Link. If it was an own
// heartbeat, sent is when it was sent.
func (in *inbox) receive(channel string, message []byte) (sent time.Duration, own bool) {
	if channel == in.cfg.Signals {
		return in.receiveSignal(message)
	}
	var m change
	if err := json.Unmarshal(message, &m); err != nil || m.EventType == 0 && len(m.Keys) == 0 {
		in.receiveUnreadable(message, err)
		return 0, false
	}
	if m.Instance == in.cfg.Instance || m.Instance == "" && m.SourceID == in.cfg.SourceID {
		return 0, false
	}
	in.received.Add(1)
	in.cfg.Changed(m.Keys)
	if m.Instance != "" && m.Seq > 0 {
		in.arrived(&m)
	}
	return 0, false
}

func (in *inbox) receiveSignal(message []byte) (sent time.Duration, own bool) {
	var m signal
	if err := json.Unmarshal(message, &m); err != nil || m.Instance == "" {
		in.receiveUnreadable(message, err)
		return 0, false
	}
	if m.Instance == in.cfg.Instance {
		return time.Duration(m.At), true
	}
	if len(m.Filled) > 0 {
		in.cfg.Filled(m.Filled)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	p := in.peerLocked(m.Instance, m.Sent)
	p.name = m.SourceID
	p.sent = max(p.sent, m.Sent)
	p.noteHeard(time.Now())
	if m.Leaving && p.received >= p.sent {
		delete(in.peers, m.Instance)
	}
	return 0, false
}

// receiveUnreadable records a message that could not be decoded: it may have named keys.
func (in *inbox) receiveUnreadable(message []byte, err error) {
	in.mu.Lock()
	in.unreadable = true
	in.mu.Unlock()
	in.cfg.Warn("a message on the channel of the other nodes was not understood: %.100q (%v)", message, err)
}

// arrived records a change of a peer.
func (in *inbox) arrived(m *change) {
	in.mu.Lock()
	defer in.mu.Unlock()
	p := in.peerLocked(m.Instance, m.Seq-1)
	p.name = m.SourceID
	p.sent = max(p.sent, m.Seq)
	switch {
	case m.Seq <= p.received: // it arrived twice
	case m.Seq == p.received+1:
		p.received++
		for p.ahead[p.received+1] {
			p.received++
			delete(p.ahead, p.received)
		}
	case len(p.ahead) < maxAhead:
		if p.ahead == nil {
			p.ahead = make(map[uint64]bool)
		}
		p.ahead[m.Seq] = true
	}
	p.noteHeard(time.Now())
}

// peerLocked returns the peer of an instance. A new peer has all changes up to before behind it.
// But if all running nodes should be known by now, a new peer should have just started. Then all
// its changes are expected, and those from before this moment count as missing.
func (in *inbox) peerLocked(instance string, before uint64) *peer {
	p := in.peers[instance]
	if p == nil {
		p = &peer{name: instance, received: before}
		if time.Now().After(in.complete) {
			p.received = 0
		}
		in.peers[instance] = p
	}
	return p
}

// noteHeard records that a message arrived, and since when changes are missing. The caller holds
// the inbox' mutex.
func (p *peer) noteHeard(now time.Time) {
	p.heard = now
	switch {
	case p.received >= p.sent:
		p.late = time.Time{}
	case p.late.IsZero():
		p.late = now
	}
}

// judge looks for gaps, and returns the cause of one, or "" if there is none. It reports each gap
// once. Of several gaps it returns one cause.
func (in *inbox) judge(now time.Time) (why string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.unreadable {
		in.unreadable = false
		why = "a message was not understood"
	}
	for instance, p := range in.peers {
		switch {
		case !p.late.IsZero() && now.Sub(p.late) >= in.cfg.Heartbeat:
			why = fmt.Sprintf("%d messages of node %s are missing", p.sent-p.received-uint64(len(p.ahead)), quote.Line(p.name))
			p.received, p.ahead, p.late = p.sent, nil, time.Time{}
		case now.Sub(p.heard) > missedHeartbeats*in.cfg.Heartbeat:
			why = fmt.Sprintf("node %s has not been heard for %s", quote.Line(p.name), now.Sub(p.heard).Round(time.Millisecond))
			delete(in.peers, instance)
		}
	}
	return why
}

func (in *inbox) stats() (received uint64, nodes int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.received.Load(), len(in.peers)
}
