package remotetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// Bus is a remote.Bus in memory, for tests of fleets within a process: caches that share a Bus hear
// of each other's changes. A test can make it lose messages, break and fail. It works in bubbles of
// testing/synctest. It is a remote.Sequencer with a remote.Presence. Make one with NewBus. Its methods may be called
// concurrently.
type Bus struct {
	mu        sync.Mutex
	subs      map[*subscription]struct{}                // guarded by mu
	lose      func(channel string, message []byte) bool // guarded by mu; nil if it loses nothing
	err       error                                     // guarded by mu: the error of every call
	published map[string]int                            // guarded by mu: number of messages by channel
	tokens    map[string]token                          // guarded by mu: by channel
	members   map[string]map[string]time.Time           // guarded by mu: by channel and name, until when they are present
}

var (
	_ remote.Bus       = (*Bus)(nil)
	_ remote.Sequencer = (*Bus)(nil)

	_ remote.FollowerCounter = (*Bus)(nil)
	_ remote.Presence        = (*Bus)(nil)
)

type subscription struct {
	bus      *Bus
	channels []string      // guarded by bus.mu
	ended    chan struct{} // closed when the subscription has ended

	mu      sync.Mutex
	waiting []message     // guarded by mu
	err     error         // guarded by mu: why it is broken; nil if it is not
	news    chan struct{} // has an element if there is a message or an error to take
}

type message struct {
	channel string
	data    []byte
	passed  chan struct{} // nil if it is a message; otherwise closed when it is received
}

// NewBus returns a Bus without subscribers.
func NewBus() *Bus {
	return &Bus{
		subs: make(map[*subscription]struct{}), published: make(map[string]int), tokens: make(map[string]token),
		members: make(map[string]map[string]time.Time),
	}
}

// Publish passes a message to the subscribers of channel.
func (b *Bus) Publish(ctx context.Context, channel string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.publishLocked(channel, data)
	return nil
}

func (b *Bus) publishLocked(channel string, data []byte) {
	b.published[channel]++
	if b.lose != nil && b.lose(channel, data) {
		return
	}
	for s := range b.subs {
		if slices.Contains(s.channels, channel) {
			s.add(message{channel: channel, data: slices.Clone(data)})
		}
	}
}

// Subscribe calls receive with the messages of channels, until ctx ends or Fail is called.
func (b *Bus) Subscribe(ctx context.Context, channels []string, ready func(), receive func(channel string, message []byte)) error {
	return b.Follow(ctx, channels, func(remote.Subscription) { ready() }, receive)
}

// Follow is Subscribe with a Subscription.
func (b *Bus) Follow(ctx context.Context, channels []string, ready func(remote.Subscription), receive func(channel string, message []byte)) error {
	s := &subscription{bus: b, channels: slices.Clone(channels), ended: make(chan struct{}), news: make(chan struct{}, 1)}
	defer close(s.ended)
	b.mu.Lock()
	if b.err != nil {
		defer b.mu.Unlock()
		return b.err
	}
	b.subs[s] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs, s)
	}()
	ready(s)
	for {
		select {
		case <-s.news:
		case <-ctx.Done():
			return ctx.Err()
		}
		waiting, err := s.take()
		for _, m := range waiting {
			if m.passed != nil {
				close(m.passed)
				continue
			}
			receive(m.channel, m.data)
		}
		if err != nil {
			return err
		}
	}
}

func (s *subscription) add(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, m)
	s.notify()
}

func (s *subscription) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.notify()
}

func (s *subscription) notify() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *subscription) take() ([]message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waiting
	s.waiting = nil
	return waiting, s.err
}

// Lose makes the Bus lose the messages for which lose returns true, without an error. A nil lose,
// which is the default, loses none.
func (b *Bus) Lose(lose func(channel string, message []byte) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = lose
}

// Fail makes every call fail with err, and ends the subscriptions with it. After Fail(nil) the Bus
// works again.
func (b *Bus) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	if err != nil {
		for s := range b.subs {
			s.fail(err)
		}
	}
}

// Published returns the number of messages that were published on channel, including the lost ones.
func (b *Bus) Published(channel string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.published[channel]
}

// Subscribers returns the number of subscriptions of channel.
func (b *Bus) Subscribers(channel string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		if slices.Contains(s.channels, channel) {
			n++
		}
	}
	return n
}
