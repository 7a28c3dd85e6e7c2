// Package faultproxy is a TCP proxy that disturbs the connections it forwards, for tests and for
// programs that show what happens then.
//
// A fault applies to all connections, to the open ones and to later ones, until another fault or
// Heal replaces it. A connection has two directions, to the server and to the client. Each
// direction can have a fault of its own. Decide gives single requests a fate: their replies are
// lost, or they arrive late, or in part.
package faultproxy

import (
	"net"
	"sync"
	"time"
)

// Direction says for which direction of the bytes a fault is. The zero value is no direction: a
// fault for it changes nothing.
type Direction uint8

// The directions.
const (
	ToServer Direction             = 1 << iota // from the client to the target
	ToClient                                   // from the target to the client
	Both     = ToServer | ToClient             // both ways
)

// Proxy forwards connections to one target. All methods may be called concurrently.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup // the goroutines of the proxy and of its connections

	mu      sync.Mutex // protects all below
	target  string
	fault   fault
	changed chan struct{} // closed and replaced when fault changes
	links   map[*link]struct{}
	closed  bool
}

// New starts a proxy to target, a host:port, on a free loopback port. Close stops it. The target
// need not run yet: if the proxy cannot connect to it, it resets the connection of the client.
func New(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: listener, changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.running.Go(p.accept)
	return p, nil
}

// Addr returns the address of the proxy, as host:port. No fault changes it.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Redirect makes target, a host:port, the target of connections that the proxy makes from now on. Open ones
// stay as they are: use Cut to end them.
func (p *Proxy) Redirect(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *Proxy) where() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// Connections returns the number of open connections.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Heal ends all faults. Bytes that a black hole or a delay has held back are delivered at once and
// in order, as TCP does by its retransmissions. So a server may now see a command that its client
// gave up long ago.
func (p *Proxy) Heal() { p.set(func(f *fault) { *f = fault{} }) }

// HealByReset resets all connections and ends all faults. Bytes that were held back are lost. This
// is what happens if a network is down for so long that both ends give up.
func (p *Proxy) HealByReset() {
	p.Cut()
	p.Heal()
}

// Delay delivers all bytes d later than they arrive. More bytes arrive meanwhile, as on a long
// line, until the buffers are full. Delay ends a black hole in the same direction, and a cut. It
// does not delay the connecting. If d is zero or less, there is no delay.
func (p *Proxy) Delay(direction Direction, d time.Duration) {
	p.set(func(f *fault) { f.change(direction, way{delay: d}) })
}

// BlackHole delivers nothing from now on, and without any error. Connections stay open. New ones
// are accepted, but the proxy does not connect to the target. Bytes that arrive, and ends of
// connections, are held back. When they fill the buffers, TCP stops the sender. Bytes that arrived
// before the call may still be delivered after it. BlackHole ends a delay in the same direction,
// and a cut.
func (p *Proxy) BlackHole(direction Direction) {
	p.set(func(f *fault) { f.change(direction, way{hole: true}) })
}

// Cut resets all connections, and each new one as soon as it is made. The proxy keeps its port, so
// either dialling fails, or the first read or write. Cut ends all other faults; the bytes that they
// held back are lost.
func (p *Proxy) Cut() {
	for _, l := range p.set(func(f *fault) { *f = fault{cut: true} }) {
		l.reset()
	}
}

// Close resets all connections, and returns when the goroutines of the proxy have ended. From then
// on, dialling is refused. It may be called more than once. The error is that of closing the
// listening socket.
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

// fault says what is wrong with the connections. In the zero value nothing is.
type fault struct {
	toServer, toClient way
	cut                bool
	decide             func(request []byte) Fate // nil if all requests pass
}

// way says what is wrong with one direction.
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

// of returns what is wrong with one direction, which must not be Both.
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

// now returns the current fault, and a channel that is closed when the fault changes.
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
			// The reason may be temporary, such as a lack of file descriptors, so it tries again.
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
