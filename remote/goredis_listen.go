package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A listener is a connection on which the server sends without being asked: messages of pub/sub,
// and keys that have changed.
//
// It does not use a connection of the user's client. The PubSub of go-redis dials again when its
// connection breaks, within the call that notices it, and it replaces a connection silently when
// the server asks for that. Messages that are sent in between are lost, and the caller learns of it
// late or not at all. So a listener has a client that may dial only once, and it sees the bytes of
// the connection.
type listener struct {
	interval time.Duration // of pings
	// quiet is true if the listener sends no pings after it is confirmed: its owner does.
	quiet    bool
	channels []string // to SUBSCRIBE to
	sharded  []string // to SSUBSCRIBE to, all of one hash slot

	// connected is called with the PubSub before anything is sent on it. It may be nil.
	connected func(*redis.PubSub)
	// confirmed is called once, when the server has confirmed all channels.
	confirmed func()
	// message is called for each message. It is nil if the listener expects none.
	message func(channel, payload string)
	// ping is called for each reply to a ping, in the order of the pings; nil if nobody counts them.
	ping func()
	// spare is called with an error by which the server refuses a subscription. If the listener
	// can do without the subscription, spare returns its kind, otherwise "". It may be nil.
	spare func(err error) (kind string)

	mu      sync.Mutex
	wire    *wire                // guarded by mu
	dialed  bool                 // guarded by mu
	cause   error                // guarded by mu: why end was called; nil if it was not
	waiting map[confirmation]int // guarded by mu: the confirmations that have not arrived
	leaving map[confirmation]int // guarded by mu: the ends of subscriptions that were asked for
	settled chan struct{}        // guarded by mu: closed when waiting gets empty; nil if it is empty
	refused map[string]bool      // guarded by mu: kinds of subscription that the server does not have
}

const (
	// pingInterval is the interval at which a listener pings the server.
	pingInterval = 500 * time.Millisecond
	// silentPings is the number of intervals without a byte from the server that ends a listener.
	silentPings = 3
	// silenceChecks is the number of times in an interval that a listener checks for new bytes.
	silenceChecks = 4
)

var (
	errSilentServer = errors.New("the server does not answer any more")
	errDialedTwice  = errors.New("the connection was lost")
	errEndedByHost  = errors.New("the server has ended the subscription, as it does when a slot moves to another node")
	errReconnected  = errors.New("the connection was replaced")
)

// listenerOptions returns a copy of a client's options for a client with one connection. The caller
// may change it. The options come from a client, and its constructor has replaced some values in
// them: to another constructor, the new values would mean something else. So these are set again.
func listenerOptions(of *redis.Options) *redis.Options {
	o := *of
	o.MaxRetries, o.DialerRetries = -1, 1
	o.PoolSize, o.MaxConcurrentDials = 1, 1
	o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 0, 0, 0
	o.PipelineReadBufferSize, o.PipelineWriteBufferSize, o.AutoPipelineOptions = 0, 0, nil
	o.Limiter, o.PushNotificationProcessor = nil, nil
	o.ClientSideCache, o.ClientSideCacheConfig = nil, nil
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	for _, timeout := range []*time.Duration{&o.ReadTimeout, &o.WriteTimeout} {
		if *timeout < 0 {
			*timeout = -2 // no deadlines
		}
	}
	return &o
}

// run connects with options, which are of listenerOptions, and listens until ctx or the connection
// ends.
func (l *listener) run(ctx context.Context, options *redis.Options) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dial := options.Dialer
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return l.dialOnce(ctx, dial, network, addr)
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	pubsub := client.Subscribe(ctx) // no channels: it does not connect yet
	defer func() { _ = pubsub.Close() }()
	stop := context.AfterFunc(ctx, func() { l.end(ctx.Err()) })
	defer stop()
	if l.connected != nil {
		l.connected(pubsub)
	}
	if _, err := l.subscribe(ctx, pubsub, l.channels, l.sharded); err != nil {
		return l.reason(err)
	}
	// Reads have no deadline: after a timeout, go-redis would go on reading, perhaps in the middle
	// of a message. Instead watch closes the connection, which ends the reads.
	reading := context.WithoutCancel(ctx)
	if l.quiet {
		late := time.AfterFunc(silentPings*l.interval, func() {
			if l.subscribing() {
				l.end(fmt.Errorf("%w: no confirmation for %s", errSilentServer, silentPings*l.interval))
			}
		})
		defer late.Stop()
		return l.receive(reading, pubsub)
	}
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { l.watch(reading, pubsub, done) })
	defer watching.Wait()
	defer close(done)
	return l.receive(reading, pubsub)
}

// dialOnce dials the connection. A second call is an error.
func (l *listener) dialOnce(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), network, addr string) (net.Conn, error) {
	l.mu.Lock()
	again := l.dialed
	l.dialed = true
	l.mu.Unlock()
	if again {
		return nil, errDialedTwice
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		_ = conn.Close()
		return nil, l.cause
	}
	l.wire = &wire{Conn: conn}
	return l.wire, nil
}

// end closes the connection. The first cause is what run returns.
func (l *listener) end(cause error) {
	l.mu.Lock()
	if l.cause == nil {
		l.cause = cause
	}
	wire := l.wire
	l.mu.Unlock()
	if wire != nil {
		_ = wire.Close()
	}
}

// reason returns why the listener has ended: the cause given to end, or else err, the error of the
// connection.
func (l *listener) reason(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	return err
}

// receive handles confirmations and messages until the connection ends.
func (l *listener) receive(ctx context.Context, pubsub *redis.PubSub) error {
	ready := false
	for {
		message, err := pubsub.Receive(ctx)
		if err != nil {
			kind := l.dispensable(err)
			switch kind {
			case "":
				return l.reason(err)
			case kindPing:
				l.pinged()
			default:
				l.refuse(kind)
			}
		}
		switch message := message.(type) {
		case *redis.Subscription:
			if err := l.confirm(confirmation{message.Kind, message.Channel}); err != nil {
				return err
			}
		case *redis.Message:
			if l.message != nil {
				l.message(message.Channel, message.Payload)
			}
		case *redis.Pong:
			l.pinged()
		}
		if !ready && !l.subscribing() {
			ready = true
			l.confirmed()
		}
	}
}

func (l *listener) pinged() {
	if l.ping != nil {
		l.ping()
	}
}

// dispensable returns the kind of command that an error reply refuses, if the listener can do
// without it, and otherwise "". A ping may be refused: the refusal, too, shows that the server is
// there.
func (l *listener) dispensable(err error) (kind string) {
	switch {
	case !isReply(err):
		return ""
	case noPermission(err) && strings.Contains(err.Error(), "'ping'"):
		return kindPing
	case l.spare != nil && l.subscribing():
		return l.spare(err)
	}
	return ""
}

// watch pings the server until done is closed, and ends the listener if nothing arrives. It counts
// checks instead of time: when a process that was stopped goes on, the time is over, but bytes have
// arrived that are still to be read.
func (l *listener) watch(ctx context.Context, pubsub *redis.PubSub, done <-chan struct{}) {
	l.mu.Lock()
	wire := l.wire
	l.mu.Unlock()
	ticker := time.NewTicker(max(l.interval/silenceChecks, time.Millisecond))
	defer ticker.Stop()
	last, silent := wire.arrived.Load(), 0
	for look := 1; ; look++ {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		arrived := wire.arrived.Load()
		if arrived != last || !wire.reading.Load() { // without a read under way, nothing can arrive
			last, silent = arrived, 0
		} else if silent++; silent >= silentPings*silenceChecks {
			l.end(fmt.Errorf("%w: nothing for %s", errSilentServer, silentPings*l.interval))
			return
		}
		if look%silenceChecks != 0 {
			continue
		}
		if err := pubsub.Ping(ctx); err != nil {
			if !errors.Is(err, errDialedTwice) { // receive returns why the connection was lost
				l.end(err)
			}
			return
		}
	}
}

// wire is the connection of a listener.
type wire struct {
	net.Conn
	arrived atomic.Uint64 // reads that returned bytes
	reading atomic.Bool   // a read is under way
}

func (w *wire) Read(p []byte) (int, error) {
	w.reading.Store(true)
	n, err := w.Conn.Read(p)
	w.reading.Store(false)
	if n > 0 {
		w.arrived.Add(1)
	}
	return n, err
}
