package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A listener is a connection of its own, on which a server sends by itself: the messages of
// pub/sub, and keys that have changed.
//
// It is not one of the user's client. The PubSub of go-redis replaces a connection that breaks
// in the middle of the call that notices it, and one that the server hands over without a word:
// what is sent meanwhile is lost, and the call holds back its error until it has dialled again.
// A listener has a client that may dial once, and sees the bytes of its connection.
type listener struct {
	interval time.Duration // of pings
	channels []string      // to SUBSCRIBE to
	sharded  []string      // to SSUBSCRIBE to, all of one hash slot

	// confirmed is called once, when the server has answered for all channels.
	confirmed func()
	// message is called for each message; nil: there are none.
	message func(channel, payload string)
	// spare is asked about an error by which the server refuses to subscribe. It returns the kind
	// of subscription that this is about if the listener can do without it, "" if not.
	spare func(err error) (kind string)

	mu     sync.Mutex
	wire   *wire // guarded by mu
	dialed bool  // guarded by mu
	cause  error // guarded by mu: why it was ended, if not by the connection itself
}

const (
	// pingInterval is how often a listener has its server show that it is there.
	pingInterval = 500 * time.Millisecond
	// silentPings is for how many intervals nothing may arrive.
	silentPings = 3
	// silenceChecks is how often in an interval a listener looks whether something has arrived.
	silenceChecks = 4
)

var (
	errSilentServer = errors.New("the server does not answer any more")
	errDialedTwice  = errors.New("the connection was lost")
	errEndedByHost  = errors.New("the server has ended the subscription, as when a slot moves to another node")
	errReconnected  = errors.New("the connection was replaced")
)

// listenerOptions returns a copy of a client's options for a client with one connection, which
// may be altered. What NewClient has put in for a setting that means "none" is a zero there,
// and would mean "the default" here.
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
			*timeout = -2 // no deadlines at all
		}
	}
	return &o
}

// run connects by options, which come from listenerOptions, and listens until ctx ends or
// the connection does.
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

	waiting, err := l.subscribe(ctx, pubsub)
	if err != nil {
		return l.reason(err)
	}
	// What is read has no deadline: go-redis goes on after a timeout, though it may have been in
	// the middle of a message. The watch ends the connection, and so the reading.
	reading := context.WithoutCancel(ctx)
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { l.watch(reading, pubsub, done) })
	defer watching.Wait()
	defer close(done)
	return l.receive(reading, pubsub, waiting)
}

// dialOnce dials the only connection.
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

// end closes the connection because of cause.
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

// reason returns why the listener has ended, where the connection says err.
func (l *listener) reason(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	return err
}

// The kinds of subscription, as the server confirms them.
const (
	kindPlain   = "subscribe"
	kindSharded = "ssubscribe"
)

// confirmation is what the server sends for a channel. A message of the same kind that nobody
// waits for means that a PubSub has subscribed anew on another connection.
type confirmation struct{ kind, channel string }

// subscribe connects and sends what the server is to confirm.
func (l *listener) subscribe(ctx context.Context, pubsub *redis.PubSub) (map[confirmation]bool, error) {
	waiting := make(map[confirmation]bool)
	for _, part := range []struct {
		kind      string
		channels  []string
		subscribe func(context.Context, ...string) error
	}{{kindPlain, l.channels, pubsub.Subscribe}, {kindSharded, l.sharded, pubsub.SSubscribe}} {
		if len(part.channels) == 0 {
			continue
		}
		if err := part.subscribe(ctx, part.channels...); err != nil {
			return nil, err
		}
		for _, channel := range part.channels {
			waiting[confirmation{part.kind, channel}] = true
		}
	}
	return waiting, nil
}

// receive hands out what arrives.
func (l *listener) receive(ctx context.Context, pubsub *redis.PubSub, waiting map[confirmation]bool) error {
	ready := false
	for {
		message, err := pubsub.Receive(ctx)
		if err != nil {
			kind := l.dispensable(err, len(waiting) > 0)
			if kind == "" {
				return l.reason(err)
			}
			maps.DeleteFunc(waiting, func(c confirmation, _ bool) bool { return c.kind == kind })
		}
		switch message := message.(type) {
		case *redis.Subscription:
			c := confirmation{message.Kind, message.Channel}
			switch {
			case waiting[c]:
				delete(waiting, c)
			case c.kind == kindPlain, c.kind == kindSharded:
				return errReconnected
			default:
				return fmt.Errorf("%w: %q", errEndedByHost, c.channel)
			}
		case *redis.Message:
			if l.message != nil {
				l.message(message.Channel, message.Payload)
			}
		}
		if !ready && len(waiting) == 0 {
			ready = true
			l.confirmed()
		}
	}
}

// dispensable returns the kind of command that a reply refuses, if the listener can do without.
// A ping that is not allowed has been answered all the same.
func (l *listener) dispensable(err error, subscribing bool) (kind string) {
	switch {
	case !isReply(err):
		return ""
	case noPermission(err) && strings.Contains(err.Error(), "'ping'"):
		return "ping"
	case subscribing && l.spare != nil:
		return l.spare(err)
	}
	return ""
}

// watch pings the server until done is closed, and ends the listener when nothing arrives.
// It counts looks rather than time: a process that stood still finds what has arrived
// meanwhile when it goes on.
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
		if arrived != last || !wire.reading.Load() { // who is not reading cannot hear anything
			last, silent = arrived, 0
		} else if silent++; silent >= silentPings*silenceChecks {
			l.end(fmt.Errorf("%w: nothing for %s", errSilentServer, silentPings*l.interval))
			return
		}
		if look%silenceChecks != 0 {
			continue
		}
		if err := pubsub.Ping(ctx); err != nil {
			if !errors.Is(err, errDialedTwice) { // receive knows why the connection was lost
				l.end(err)
			}
			return
		}
	}
}

// wire is the connection of a listener.
type wire struct {
	net.Conn
	arrived atomic.Uint64 // reads that brought something
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
