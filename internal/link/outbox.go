package link

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// outbox publishes changes. One message is under way at a time, and what is changed meanwhile
// goes with the next: many changes at a time are few messages.
type outbox struct {
	cfg   *Config
	clock func() time.Duration // of the Link
	sent  atomic.Uint64        // messages that the bus has taken

	// publishing is held while changes are published: they leave in their order, and heartbeats
	// say what has left.
	publishing sync.Mutex
	seq        uint64        // guarded by publishing: of the newest change
	taken      atomic.Uint64 // the bus has taken all up to it, or they are given up; written with publishing held
	unsent     int           // guarded by publishing: keys that were given up

	mu      sync.Mutex
	waiting *parcel       // guarded by mu: nil: nothing waits
	running bool          // guarded by mu: there is a goroutine
	failing error         // guarded by mu: why the last message could not be sent
	closed  bool          // guarded by mu
	wake    chan struct{} // has an element to end a pause
	idle    chan struct{} // guarded by mu: closed when the goroutine has ended
}

// parcel is what is sent together: keys by the type of their event.
type parcel struct {
	keys  map[int]map[string]struct{}
	n     int
	lossy bool     // more keys than it has belong to it
	news  *Receipt // of those who wait for it; nil: nobody does
}

const (
	// maxKeys is how many keys a message has at most.
	maxKeys = 1000
	// maxWaiting bounds how many keys wait. More are dropped, and a number is passed over, so
	// that the others see that a message is missing.
	maxWaiting = 1 << 17
)

// Errors of Tell.
var (
	errOverflow = errors.New("too many changes wait to be sent")
	errClosed   = errors.New("the cache is closed")
)

func (o *outbox) init(cfg *Config, clock func() time.Duration) {
	o.cfg, o.clock = cfg, clock
	o.wake = make(chan struct{}, 1)
}

// Receipt is what becomes of keys that are to be told of.
type Receipt struct {
	done chan struct{} // closed when they have been sent, or that has failed for the first time
	err  error         // set before done is closed
}

// Wait waits until the bus has taken the message, which it returns nil for, or has failed to,
// or ctx ends. What has failed is sent again until it succeeds.
func (r *Receipt) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Receipt) settle(err error) {
	r.err = err
	close(r.done)
}

func settled(err error) *Receipt {
	r := &Receipt{done: make(chan struct{})}
	r.settle(err)
	return r
}

// Tell has the other nodes told that keys have changed.
func (l *Link) Tell(event int, keys []string) *Receipt { return l.out.add(event, keys) }

func (o *outbox) add(event int, keys []string) *Receipt {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return settled(errClosed)
	}
	p := o.waiting
	if p == nil {
		p = &parcel{keys: make(map[int]map[string]struct{})}
		o.waiting = p
	}
	if !o.running {
		o.running, o.idle = true, make(chan struct{})
		go o.run()
	}
	if p.n >= maxWaiting {
		p.lossy = true
		return settled(errOverflow)
	}
	p.add(event, keys)
	if o.failing != nil { // it will be sent, but nobody knows when
		return settled(o.failing)
	}
	if p.news == nil {
		p.news = &Receipt{done: make(chan struct{})}
	}
	return p.news
}

func (p *parcel) add(event int, keys []string) {
	m := p.keys[event]
	if m == nil {
		m = make(map[string]struct{}, len(keys))
		p.keys[event] = m
	}
	before := len(m)
	for _, key := range keys {
		m[key] = struct{}{}
	}
	p.n += len(m) - before
}

// messages returns the changes that tell of the parcel's keys.
func (p *parcel) messages() (all []change) {
	for event, set := range p.keys {
		keys := make([]string, 0, len(set))
		for key := range set {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for part := range slices.Chunk(keys, maxKeys) {
			all = append(all, change{EventType: event, Keys: part})
		}
	}
	slices.SortStableFunc(all, func(a, b change) int { return cmp.Compare(a.EventType, b.EventType) })
	return all
}

// tell ends the waiting for the parcel.
func (p *parcel) tell(err error) {
	if p != nil && p.news != nil {
		p.news.settle(err)
		p.news = nil
	}
}

// run sends what waits and then ends.
func (o *outbox) run() {
	for {
		o.mu.Lock()
		p := o.waiting
		o.waiting = nil
		if p == nil {
			o.running = false
			close(o.idle)
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		o.send(p)
	}
}

// send sends a parcel, however long that takes, unless far too much waits meanwhile or the link
// is closed.
func (o *outbox) send(p *parcel) {
	o.publishing.Lock()
	defer o.publishing.Unlock()
	pause := firstPause
	messages := p.messages()
	for i, m := range messages {
		o.seq++
		m.CacheName, m.SourceID, m.Instance, m.Seq = o.cfg.CacheName, o.cfg.SourceID, o.cfg.Instance, o.seq
		data := encode(m)
		for {
			err := o.publish(context.Background(), o.cfg.Changes, data)
			closed := o.setFailing(err)
			if err == nil {
				break
			}
			p.tell(err)
			if closed {
				o.taken.Store(o.seq) // the others will see that it is missing
				for _, m := range messages[i:] {
					o.unsent += len(m.Keys)
				}
				return
			}
			select {
			case <-time.After(pause):
			case <-o.wake:
			}
			pause = min(2*pause, lastPause)
		}
		o.taken.Store(o.seq)
		o.sent.Add(1)
	}
	if p.lossy {
		o.seq++
		o.taken.Store(o.seq)
		o.cfg.Warn("more than %d changed keys waited to be told to the other nodes: they are told that some are missing", maxWaiting)
	}
	p.tell(nil)
}

// setFailing notes how the last try ended, and tells those who wait for what comes next if it
// failed. It reports whether the link is closed.
func (o *outbox) setFailing(err error) (closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing = err
	if err != nil {
		o.waiting.tell(err)
	}
	return o.closed
}

func (o *outbox) publish(ctx context.Context, channel string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return o.cfg.Bus.Publish(ctx, channel, data)
}

// nudge ends a pause between two tries.
func (o *outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// signal returns a signal that says how far this node has come.
func (o *outbox) signal() signal {
	return signal{SourceID: o.cfg.SourceID, Instance: o.cfg.Instance, Sent: o.taken.Load()}
}

// heartbeat sends one. While a change is being sent, it says how far the changes before it came.
func (o *outbox) heartbeat(ctx context.Context) {
	beat := o.signal()
	beat.At = int64(o.clock())
	_ = o.publish(ctx, o.cfg.Signals, encode(beat)) // where it is missing, that is noticed
}

// TellFilled has nodes told that wait for keys that these have been stored. It is not certain to
// arrive.
func (l *Link) TellFilled(ctx context.Context, keys []string) error {
	m := l.out.signal()
	m.Filled = keys
	return l.out.publish(ctx, l.cfg.Signals, encode(m))
}

func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting == nil {
		return 0
	}
	return o.waiting.n
}

// close sends what waits, for bound at most, and says that this node leaves. It returns how many
// keys at least were not sent.
func (o *outbox) close(bound time.Duration) (unsent int) {
	o.mu.Lock()
	running, idle := o.running, o.idle
	o.closed = true
	o.mu.Unlock()
	o.nudge()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	if running {
		select {
		case <-idle:
		case <-timer.C:
			return max(1, o.size())
		}
	}
	o.publishing.Lock()
	unsent = o.unsent
	o.publishing.Unlock()
	m := o.signal()
	m.Leaving = true
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = o.publish(context.Background(), o.cfg.Signals, encode(m)) // the others will notice
	}()
	select {
	case <-left:
	case <-timer.C:
	}
	return unsent
}
