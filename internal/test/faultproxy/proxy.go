// Package faultproxy is a TCP proxy that breaks the link it carries, for tests and for
// programs that show what happens then.
//
// A fault concerns all connections, those that are open and those to come, until another
// one or Heal takes its place. A link runs in two directions, to the server and to the
// client, which can be in trouble by themselves.
package faultproxy

import (
	"net"
	"sync"
	"time"
)

// Direction says which way the bytes go that a fault concerns. The zero value is no
// direction, so that a fault given it changes nothing.
type Direction uint8

const (
	ToServer Direction             = 1 << iota // from the client to the target
	ToClient                                   // from the target to the client
	Both     = ToServer | ToClient             // both ways
)

// Proxy forwards connections to one target. All methods may be called concurrently.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup // the goroutines of the proxy and of its connections

	mu      sync.Mutex // protects all below
	fault   fault
	changed chan struct{} // closed and replaced when fault changes
	links   map[*link]struct{}
	closed  bool
}

// New starts a proxy to target, a host:port, on a free loopback port. Close stops it. The
// target need not be there yet: a connection that cannot be made to it is reset.
func New(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: listener, changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.running.Go(p.accept)
	return p, nil
}

// Addr is the address of the proxy, as host:port. It stays the same whatever the fault.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Connections is the number of open connections.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Heal ends all faults. What a black hole or a delay has held back is delivered at once
// and in order, as by the retransmissions of TCP: a server may see a command now that its
// client gave up long ago.
func (p *Proxy) Heal() { p.set(func(f *fault) { *f = fault{} }) }

// HealByReset resets all connections, so that what was held back is lost, and ends all
// faults: a link that was down for so long that both ends gave up.
func (p *Proxy) HealByReset() {
	p.Cut()
	p.Heal()
}

// Delay holds all bytes back for d after they came; others come meanwhile, as on a long
// line, until the buffers are full. It ends a black hole in the same direction, and a cut.
// The time to connect is not delayed. Zero, or less, is no delay.
func (p *Proxy) Delay(direction Direction, d time.Duration) {
	p.set(func(f *fault) { f.change(direction, way{delay: d}) })
}

// BlackHole delivers nothing from now on, and says nothing: connections stay open, new
// ones are accepted but not made to the target. Bytes, and ends of connections, that come
// meanwhile are held back; once they fill the buffers, the sender is stopped by TCP. What
// came before the call may still be delivered after it. It ends a delay in the same
// direction, and a cut.
func (p *Proxy) BlackHole(direction Direction) {
	p.set(func(f *fault) { f.change(direction, way{hole: true}) })
}

// Cut resets all connections, and each new one as soon as it is made. The port is kept, so
// it is either dialling that fails or the first read or write. It ends all other faults;
// what they held back is lost.
func (p *Proxy) Cut() {
	for _, l := range p.set(func(f *fault) { *f = fault{cut: true} }) {
		l.reset()
	}
}

// Close resets all connections and returns when the goroutines of the proxy have ended.
// Dialling is refused from then on. More than one call is fine; the error is that of
// closing the listening socket.
func (p *Proxy) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	var err error
	if first {
		err = p.listener.Close()
	}
	p.Cut()
	p.running.Wait()
	return err
}

// fault is what is wrong with a link. The zero value is nothing.
type fault struct {
	toServer, toClient way
	cut                bool
}

// way is what is wrong with one direction.
type way struct {
	hole  bool
	delay time.Duration
}

func (f *fault) change(direction Direction, w way) {
	if direction&ToServer != 0 {
		f.toServer, f.cut = w, false
	}
	if direction&ToClient != 0 {
		f.toClient, f.cut = w, false
	}
}

// of is what is wrong with one direction, not with both.
func (f *fault) of(direction Direction) way {
	if direction == ToServer {
		return f.toServer
	}
	return f.toClient
}

// set changes the fault and returns the links that are open at that moment.
func (p *Proxy) set(change func(*fault)) []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if change(&p.fault); p.closed {
		p.fault.cut = true
	}
	close(p.changed)
	p.changed = make(chan struct{})
	open := make([]*link, 0, len(p.links))
	for l := range p.links {
		open = append(open, l)
	}
	return open
}

// now is the present fault and a channel that tells when it is over.
func (p *Proxy) now() (fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			p.mu.Lock()
			closed := p.closed
			p.mu.Unlock()
			if closed {
				return
			}
			// A passing lack, of descriptors for one: the next try may do.
			time.Sleep(time.Millisecond)
			continue
		}
		l := newLink(p, conn.(*net.TCPConn))
		p.mu.Lock()
		cut := p.fault.cut || p.closed
		if !cut {
			p.links[l] = struct{}{}
		}
		p.mu.Unlock()
		if cut {
			l.reset()
			continue
		}
		p.running.Go(func() {
			l.run()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.links, l)
		})
	}
}
