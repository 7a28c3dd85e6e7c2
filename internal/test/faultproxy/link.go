package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// piece bounds the number of bytes that are read at once.
	piece = 16 << 10
	// held bounds the number of pieces that are held back in each direction. If there are more, the
	// sender waits, as it does for a TCP window. The queue of a connection is made with it, and some
	// faults make many connections.
	held = 256
)

// link is one connection of a client, and the connection to the target that belongs to it.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	ctx    context.Context //nolint:containedctx // of the link itself: it ends when the link ends
	end    context.CancelFunc

	alone atomic.Bool          // the client was let go of
	torn  atomic.Bool          // nothing more is delivered to the server
	loses atomic.Pointer[Fate] // if it is set, the next reply is lost

	mu     sync.Mutex   // protects server
	server *net.TCPConn // nil until it is connected
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	ctx, end := context.WithCancel(context.Background())
	return &link{proxy: p, client: client, ctx: ctx, end: end}
}

// reset ends both connections, so that both ends see an error. Bytes that were not delivered are
// lost.
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

// run connects to the target and forwards in both directions. It returns when the link and its
// goroutines have ended.
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

// connect connects to the target. While there is a black hole, it waits: the handshake could not
// pass.
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
	server, err := d.DialContext(l.ctx, "tcp", l.proxy.where())
	if err != nil {
		return false
	}
	l.mu.Lock()
	l.server = server.(*net.TCPConn)
	l.mu.Unlock()
	return l.ctx.Err() == nil // an earlier reset did not know the server
}

// parcel is what arrived at one moment: bytes, or the end of the direction.
type parcel struct {
	bytes   []byte
	arrived time.Time
	err     error // nil for bytes; io.EOF if the sender has closed, otherwise why the connection broke
}

// forward forwards the bytes of one direction, and returns when the direction has ended.
func (l *link) forward(direction Direction, from, to *net.TCPConn) {
	queue := make(chan parcel, held)
	var reading sync.WaitGroup
	reading.Go(func() { l.read(from, queue) })
	defer reading.Wait()
	for p := range queue {
		if !l.hold(direction, p.arrived) {
			return
		}
		switch {
		case p.err == nil:
			if !l.pass(direction, p.bytes) {
				l.reset()
				return
			}
		case direction == ToServer && (l.alone.Load() || l.torn.Load()): // the proxy itself has ended it
		case errors.Is(p.err, io.EOF):
			if !l.alone.Load() && to.CloseWrite() != nil {
				l.reset()
			}
		default:
			l.reset()
		}
	}
}

// pass delivers bytes in one direction. It returns false if that is impossible.
func (l *link) pass(direction Direction, bytes []byte) bool {
	if direction == ToServer {
		return l.deliver(bytes)
	}
	return l.answer(bytes)
}

// read puts what arrives into queue, and closes queue after the end.
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

// hold waits until a parcel that arrived at this time may be delivered, and returns true then. If
// the link ends first, it returns false.
func (l *link) hold(direction Direction, arrived time.Time) bool {
	for {
		fault, changed := l.proxy.now()
		if fault.cut {
			return false // Cut is about to reset this link
		}
		way := fault.of(direction)
		var due <-chan time.Time // nil for a black hole, which delivers nothing
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

// abort closes the connection with a reset, if the system can do that.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
