package link

import (
	"encoding/json"
	"time"
)

// receive handles a message.
func (h *hub) receive(channel string, message []byte) {
	h.mu.Lock()
	st, signals := h.signals[channel]
	if !signals {
		st = h.streams[channel]
	}
	var links []*Link
	if st != nil {
		links = st.links
	}
	h.mu.Unlock()
	switch {
	case len(links) == 0: // the last one has just left
	case signals:
		h.receiveSignal(st, links, message)
	default:
		h.receiveChange(st, links, message)
	}
}

func (h *hub) receiveChange(st *stream, links []*Link, message []byte) {
	var m change
	if err := json.Unmarshal(message, &m); err != nil || m.EventType == 0 && len(m.Keys) == 0 {
		h.receiveUnreadable(st, links, message, err)
		return
	}
	own := false
	for _, l := range links {
		if m.Instance == l.cfg.Instance || m.Instance == "" && m.SourceID == l.cfg.SourceID {
			own = true
			continue
		}
		l.within(func() {
			l.received.Add(1)
			l.cfg.Changed(m.Keys)
		})
	}
	why := ""
	st.mu.Lock()
	if h.tokens() && m.Token != "" {
		why = st.seq.receive(parseToken(m.Token))
	} else if m.Instance != "" && m.Seq > 0 && (!own || len(links) > 1) {
		st.peers.arrived(&m)
	}
	st.mu.Unlock()
	if why != "" {
		h.gap(st, why)
		h.check()
	}
}

func (h *hub) receiveSignal(st *stream, links []*Link, message []byte) {
	var m signal
	if err := json.Unmarshal(message, &m); err != nil || m.Instance == "" {
		h.receiveUnreadable(st, links, message, err)
		return
	}
	own := false
	for _, l := range links {
		if m.Instance == l.cfg.Instance {
			own = true
		} else if len(m.Filled) > 0 {
			l.within(func() { l.cfg.Filled(m.Filled) })
		}
	}
	tokens := h.tokens()
	if own && !tokens {
		h.heard(time.Duration(m.At))
	}
	st.mu.Lock()
	if m.Tokens && tokens {
		if _, known := st.peers.nodes[m.Instance]; known { // it has begun to use tokens
			m.Leaving = true
			st.peers.signalled(&m)
		}
		st.mu.Unlock()
		return
	}
	if own && len(links) == 1 { // the node itself is none of its peers
		delete(st.peers.nodes, m.Instance)
		st.mu.Unlock()
		return
	}
	first := len(st.peers.nodes) == 0
	st.peers.signalled(&m)
	first = first && len(st.peers.nodes) > 0
	st.mu.Unlock()
	if first && tokens {
		nudge(h.beatNow) // the node expects heartbeats
	}
}

// receiveUnreadable records a message that could not be decoded: it may have named keys.
func (h *hub) receiveUnreadable(st *stream, links []*Link, message []byte, err error) {
	st.mu.Lock()
	st.unreadable = true
	st.mu.Unlock()
	for _, l := range links {
		l.within(func() {
			l.cfg.Warn("a message on the channel of the other nodes was not understood: %.100q (%v)", message, err)
		})
	}
}
