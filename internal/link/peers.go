package link

import (
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// peers are the nodes whose messages have no tokens. They number their messages, and send
// heartbeats with their newest number. The owner guards a peers.
type peers struct {
	nodes    map[string]*peer // by instance
	complete time.Time        // from this moment on, all running nodes are in nodes
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

// restart forgets the other nodes. Messages that they have sent until now are not missed any more.
// All running nodes send a message within settling.
func (ps *peers) restart(settling time.Duration) {
	ps.nodes = make(map[string]*peer)
	ps.complete = time.Now().Add(settling)
}

// signalled takes a signal of another node.
func (ps *peers) signalled(m *signal) {
	p := ps.peer(m.Instance, m.Sent)
	p.name = m.SourceID
	p.sent = max(p.sent, m.Sent)
	p.noteHeard(time.Now())
	if m.Leaving && p.received >= p.sent {
		delete(ps.nodes, m.Instance)
	}
}

// arrived takes a change of another node.
func (ps *peers) arrived(m *change) {
	p := ps.peer(m.Instance, m.Seq-1)
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

// peer returns the peer of an instance. A new peer has all changes up to before behind it. But if
// all running nodes should be known by now, a new peer should have just started. Then all its
// changes are expected, and those from before this moment count as missing.
func (ps *peers) peer(instance string, before uint64) *peer {
	p := ps.nodes[instance]
	if p == nil {
		p = &peer{name: instance, received: before}
		if time.Now().After(ps.complete) {
			p.received = 0
		}
		ps.nodes[instance] = p
	}
	return p
}

// noteHeard records that a message arrived, and since when changes are missing.
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
func (ps *peers) judge(now time.Time, heartbeat time.Duration) (why string) {
	for instance, p := range ps.nodes {
		switch {
		case !p.late.IsZero() && now.Sub(p.late) >= heartbeat:
			why = fmt.Sprintf("%d messages of node %s are missing", p.sent-p.received-uint64(len(p.ahead)), quote.Line(p.name))
			p.received, p.ahead, p.late = p.sent, nil, time.Time{}
		case now.Sub(p.heard) > missedHeartbeats*heartbeat:
			why = fmt.Sprintf("node %s has not been heard for %s", quote.Line(p.name), now.Sub(p.heard).Round(time.Millisecond))
			delete(ps.nodes, instance)
		}
	}
	return why
}
