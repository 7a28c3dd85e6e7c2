package link

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// inbox takes in the messages and notices those that are missing.
type inbox struct {
	cfg      *Config
	received atomic.Uint64

	mu      sync.Mutex
	sources map[string]*source // guarded by mu: the other nodes, by instance
	settled time.Time          // guarded by mu: from when on every node that is there is known
	strange bool               // guarded by mu: a message could not be read
}

// source is another node.
type source struct {
	name  string // its SourceID, as far as known
	have  uint64 // every change up to it has arrived
	ahead map[uint64]bool
	sent  uint64    // the newest change that is known to have been sent
	late  time.Time // since when have is behind sent; zero: it is not
	heard time.Time
}

// maxAhead is how many changes may arrive before one that was sent earlier.
const maxAhead = 4096

func (in *inbox) init(cfg *Config) {
	in.cfg = cfg
	in.restart()
}

// restart forgets the other nodes: what they sent until now counts as dealt with.
func (in *inbox) restart() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.sources = make(map[string]*source)
	in.settled = time.Now().Add(missedHeartbeats * in.cfg.Heartbeat)
	in.strange = false
}

// receive takes in a message; own tells that it was a signal of this very node, and sent when,
// if it was a heartbeat.
func (in *inbox) receive(channel string, message []byte) (sent time.Duration, own bool) {
	if channel == in.cfg.Signals {
		return in.receiveSignal(message)
	}
	var m change
	if err := json.Unmarshal(message, &m); err != nil || m.EventType == 0 && len(m.Keys) == 0 {
		in.receiveStrange(message, err)
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
		in.receiveStrange(message, err)
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
	s := in.sourceLocked(m.Instance, m.Sent)
	s.name = m.SourceID
	s.sent = max(s.sent, m.Sent)
	s.lookLocked(time.Now())
	if m.Leaving && s.have >= s.sent {
		delete(in.sources, m.Instance)
	}
	return 0, false
}

// receiveStrange notes a message that could not be understood. It may have named keys.
func (in *inbox) receiveStrange(message []byte, err error) {
	in.mu.Lock()
	in.strange = true
	in.mu.Unlock()
	in.cfg.Warn("a message on the channel of the other nodes is not understood: %.100q (%v)", message, err)
}

// arrived notes the arrival of a change.
func (in *inbox) arrived(m *change) {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.sourceLocked(m.Instance, m.Seq-1)
	s.name = m.SourceID
	s.sent = max(s.sent, m.Seq)
	switch {
	case m.Seq <= s.have: // sent twice
	case m.Seq == s.have+1:
		s.have++
		for s.ahead[s.have+1] {
			s.have++
			delete(s.ahead, s.have)
		}
	case len(s.ahead) < maxAhead:
		if s.ahead == nil {
			s.ahead = make(map[uint64]bool)
		}
		s.ahead[m.Seq] = true
	}
	s.lookLocked(time.Now())
}

// sourceLocked returns a node, which is new with all changes up to before behind it. If it is new
// although all that are there should be known, it begins at zero: what it had sent before was
// missed.
func (in *inbox) sourceLocked(instance string, before uint64) *source {
	s := in.sources[instance]
	if s == nil {
		s = &source{name: instance, have: before}
		if time.Now().After(in.settled) {
			s.have = 0
		}
		in.sources[instance] = s
	}
	return s
}

// lookLocked notes when a node was heard and since when changes of it are missing.
func (s *source) lookLocked(now time.Time) {
	s.heard = now
	switch {
	case s.have >= s.sent:
		s.late = time.Time{}
	case s.late.IsZero():
		s.late = now
	}
}

// judge says why there is a gap, if there is one, and begins anew where it is.
func (in *inbox) judge(now time.Time) (why string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.strange {
		in.strange = false
		why = "a message was not understood"
	}
	for instance, s := range in.sources {
		switch {
		case !s.late.IsZero() && now.Sub(s.late) >= in.cfg.Heartbeat:
			why = fmt.Sprintf("%d messages of node %s are missing", s.sent-s.have-uint64(len(s.ahead)), s.name)
			s.have, s.ahead, s.late = s.sent, nil, time.Time{}
		case now.Sub(s.heard) > missedHeartbeats*in.cfg.Heartbeat:
			why = fmt.Sprintf("node %s has not been heard for %s", s.name, now.Sub(s.heard).Round(time.Millisecond))
			delete(in.sources, instance)
		}
	}
	return why
}

func (in *inbox) stats() (received uint64, nodes int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.received.Load(), len(in.sources)
}
