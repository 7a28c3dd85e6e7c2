package faultproxy

import "time"

// Fate says what becomes of a request, with which its client then tries again on another
// connection. The zero value lets it pass. Late counts if LoseReply is set, too.
type Fate struct {
	// LoseReply delivers the request and waits until the target replies. Then the reply is lost,
	// and the connection of the client is closed: the client cannot know that its request was
	// carried out.
	LoseReply bool
	// Silence is how long the client still waits for a reply that is lost, until its connection is
	// closed. Zero or less: it does not wait.
	Silence time.Duration
	// Tear delivers so many bytes of the request, and nothing that comes later. The target replies to
	// what is complete; the replies reach the client, unless LoseReply is set, and then the connection
	// ends. Zero or less, or as many bytes as the request has: it is whole.
	Tear int
	// Late closes the connection of the client at once, and delivers the request so much later.
	// Until then, it is as under way as a packet that TCP repeats. The reply is lost. Zero or less:
	// it is not late.
	Late time.Duration
}

// Decide calls decide with each request, and does to the request what decide returns. A request is
// what arrives from a client at one moment, and at most 16 KiB of it; a client of Redis that waits
// for each reply, and writes a pipeline at once, has one for each call. decide must not keep the
// bytes, and may be called concurrently. Delay and BlackHole keep decide; Decide ends a cut. With nil
// and after Heal, all requests pass, and those that are late are delivered at once. Cut loses them.
func (p *Proxy) Decide(decide func(request []byte) Fate) {
	p.set(func(f *fault) { f.decide, f.cut = decide, false })
}

// deliver writes what arrived from the client to the server, in the way that its fate says. It
// returns false if the link has ended.
func (l *link) deliver(request []byte) bool {
	if l.torn.Load() {
		return true // the rest is lost
	}
	fault, _ := l.proxy.now()
	var fate Fate
	if fault.decide != nil {
		fate = fault.decide(request)
	}
	late := fate.Late > 0
	if late {
		l.letGo()
		if !l.wait(fate.Late) {
			return false
		}
	}
	if fate.LoseReply {
		l.loses.Store(&fate) // before the server can reply
	}
	torn := fate.Tear > 0 && fate.Tear < len(request)
	if torn {
		request = request[:fate.Tear]
		l.torn.Store(true)
	}
	if _, err := l.server.Write(request); err != nil {
		return false
	}
	return !late && !torn || l.server.CloseWrite() == nil
}

// wait waits for d, or until Heal. It returns false if the link has ended.
func (l *link) wait(d time.Duration) bool {
	due := time.NewTimer(d)
	defer due.Stop()
	for {
		fault, changed := l.proxy.now()
		if fault.cut || l.ctx.Err() != nil {
			return false
		}
		if fault.decide == nil {
			return true
		}
		select {
		case <-due.C:
			return true
		case <-changed:
		case <-l.ctx.Done():
		}
	}
}

// answer writes what arrived from the server to the client, unless it is to be lost. It returns
// false if the link has ended.
func (l *link) answer(reply []byte) bool {
	if l.alone.Load() {
		return true
	}
	if fate := l.loses.Load(); fate != nil {
		if !l.wait(fate.Silence) {
			return false
		}
		l.letGo()
		return l.server.CloseWrite() == nil
	}
	_, err := l.client.Write(reply)
	return err == nil || l.alone.Load() // letGo may have closed the client meanwhile
}

// letGo closes the connection of the client and leaves that of the server open.
func (l *link) letGo() {
	l.alone.Store(true)
	_ = l.client.Close()
}
