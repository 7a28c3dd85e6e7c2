package faultproxy

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// piece is the most that is read at once, in bytes.
	piece = 16 << 10
	// held is how many pieces are held back in each direction before the sender has to
	// wait, as it has for a TCP window.
	held = 1024
)

// link is one connection of a client and the one to the target that goes with it.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	ctx    context.Context // of the connection itself: over when it is
	end    context.CancelFunc

	mu     sync.Mutex   // protects server
	server *net.TCPConn // nil until connected
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	ctx, end := context.WithCancel(context.Background())
	return &link{proxy: p, client: client, ctx: ctx, end: end}
}

// reset ends both connections so that both ends see an error, and what was not yet
// delivered is lost.
func (l *link) reset() {
	l.end()
	l.mu.Lock()
	server := l.server
	l.mu.Unlock()
	abort(l.client)
	if server != nil {
		abort(server)
	}
}

// run connects to the target, forwards both ways, and returns when the link has ended and
// none of its goroutines is left.
func (l *link) run() {
	defer l.end()
	if !l.connect() {
		l.reset()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.forward(ToServer, l.client, l.server) })
	both.Go(func() { l.forward(ToClient, l.server, l.client) })
	both.Wait()
	_ = l.client.Close()
	_ = l.server.Close()
}

// connect makes the connection to the target, once no black hole is in the way of the
// handshake.
func (l *link) connect() bool {
	for {
		fault, changed := l.proxy.now()
		if !fault.toServer.hole && !fault.toClient.hole {
			break
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return false
		}
	}
	var d net.Dialer
	server, err := d.DialContext(l.ctx, "tcp", l.proxy.target)
	if err != nil {
		return false
	}
	l.mu.Lock()
	l.server = server.(*net.TCPConn)
	l.mu.Unlock()
	return l.ctx.Err() == nil // a reset before this had no server to reset
}

// parcel is what arrived at a moment: bytes, or else the end.
type parcel struct {
	bytes   []byte
	arrived time.Time
	err     error // io.EOF if the sender has closed, else what broke the connection
}

// forward carries what comes from one side to the other and returns when that direction
// has ended.
func (l *link) forward(direction Direction, from, to *net.TCPConn) {
	queue := make(chan parcel, held)
	var reading sync.WaitGroup
	reading.Go(func() { l.read(from, queue) })
	defer reading.Wait()
	for p := range queue {
		if !l.hold(direction, p.arrived) {
			return
		}
		switch p.err {
		case nil:
			if _, err := to.Write(p.bytes); err != nil {
				l.reset()
				return
			}
		case io.EOF:
			if to.CloseWrite() != nil {
				l.reset()
			}
		default:
			l.reset()
		}
	}
}

// read puts what arrives into the queue, and closes that after the end.
func (l *link) read(from *net.TCPConn, queue chan<- parcel) {
	defer close(queue)
	buffer := make([]byte, piece)
	put := func(p parcel) bool {
		p.arrived = time.Now()
		select {
		case queue <- p:
			return true
		case <-l.ctx.Done():
			return false
		}
	}
	for {
		n, err := from.Read(buffer)
		if n > 0 && !put(parcel{bytes: append([]byte(nil), buffer[:n]...)}) {
			return
		}
		if err != nil {
			put(parcel{err: err})
			return
		}
	}
}

// hold returns when what arrived at that time may be delivered, true, or when the link has
// ended, false.
func (l *link) hold(direction Direction, arrived time.Time) bool {
	for {
		fault, changed := l.proxy.now()
		if fault.cut {
			return false // Cut is about to reset this link
		}
		way := fault.of(direction)
		var due <-chan time.Time // of a black hole: never
		if !way.hole {
			wait := time.Until(arrived.Add(way.delay))
			if wait <= 0 {
				return l.ctx.Err() == nil
			}
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-changed:
		case <-l.ctx.Done():
			return false
		}
	}
}

// abort closes the connection with a reset, where the system can do that.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
