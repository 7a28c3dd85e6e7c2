package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBus carries messages in memory. A test can make it lose, delay or refuse them. Alone it has no
// tokens; see process.
type fakeBus struct {
	mu     sync.Mutex
	subs   map[*fakeSub]bool
	counts                                           // guarded by mu
	lose   func(channel string, message string) bool // guarded by mu; nil if it loses nothing
	refuse error                                     // guarded by mu: the error of every call
	delay  time.Duration                             // guarded by mu: of Publish
	late   time.Duration                             // guarded by mu: how late a subscriber gets a message

	tokens     map[string]token         // guarded by mu
	members    map[fakeMember]time.Time // guarded by mu: until when they are there
	noTokens   error                    // guarded by mu: the error of Tokens and PublishNext
	noMessages error                    // guarded by mu: the error of PublishNext with messages
	noPresence error                    // guarded by mu: the error of Attend and Leave
	swallowing bool                     // guarded by mu: Sync does not return, and subscribers get nothing
}

type fakeMember struct{ channel, name string }

type fakeSub struct {
	bus      *fakeBus
	owner    Bus
	channels []string // guarded by bus.mu
	queue    chan fakeMessage
	broken   chan error
	ended    chan struct{}
}

type fakeMessage struct {
	channel, text string
	passed        chan struct{} // of a Sync; nil for a message
}

func newFakeBus() *fakeBus {
	return &fakeBus{subs: make(map[*fakeSub]bool), tokens: make(map[string]token), members: make(map[fakeMember]time.Time)}
}

var errBroken = errors.New("broken")

// taken waits until the bus takes a call.
func (b *fakeBus) taken(ctx context.Context) error {
	b.mu.Lock()
	delay, refuse := b.delay, b.refuse
	b.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	return refuse
}

func (b *fakeBus) Publish(ctx context.Context, channel string, message []byte) error {
	if err := b.taken(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishLocked(channel, string(message))
	return nil
}

func (b *fakeBus) publishLocked(channel, message string) {
	if channel == "changes" {
		b.published++
	} else {
		b.signals++
	}
	if b.swallowing || b.lose != nil && b.lose(channel, message) {
		return
	}
	for s := range b.subs {
		if slices.Contains(s.channels, channel) {
			s.deliver(b.late, fakeMessage{channel: channel, text: message})
		}
	}
}

func (s *fakeSub) deliver(late time.Duration, m fakeMessage) {
	deliver := func() {
		select {
		case s.queue <- m:
		default:
			panic("a subscriber is too slow for a test")
		}
	}
	if late == 0 {
		deliver()
	} else {
		time.AfterFunc(late, deliver)
	}
}

func (b *fakeBus) Subscribe(ctx context.Context, channels []string, ready func(), receive func(channel string, message []byte)) error {
	return b.follow(ctx, &fakeSub{bus: b, owner: b, channels: channels}, func(*fakeSub) { ready() }, receive)
}

func (b *fakeBus) follow(ctx context.Context, s *fakeSub, ready func(*fakeSub), receive func(channel string, message []byte)) error {
	s.queue, s.broken, s.ended = make(chan fakeMessage, 10_000), make(chan error, 1), make(chan struct{})
	defer close(s.ended)
	b.mu.Lock()
	if b.refuse != nil {
		defer b.mu.Unlock()
		return b.refuse
	}
	b.subs[s] = true
	late := b.late
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs, s)
	}()
	select {
	case <-time.After(late): // the confirmation is as late as the messages
	case <-ctx.Done():
		return nil
	}
	ready(s)
	for {
		select {
		case m := <-s.queue:
			if m.passed != nil {
				close(m.passed)
			} else {
				receive(m.channel, []byte(m.text))
			}
		case err := <-s.broken:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func (b *fakeBus) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// counts are what a fakeBus has counted since the last take.
type counts struct {
	published int // messages on the channel of changes
	signals   int // messages on other channels
	calls     int // of PublishNext
	checks    int // of Tokens, and by Attend
	attended  int // of the checks, those by Attend
	asked     int // channels that the checks have named
}

// take returns the counts since the last take.
func (b *fakeBus) take() (c counts) {
	synctest.Wait()
	b.set(func() { c, b.counts = b.counts, counts{} })
	return c
}

// cut breaks all subscriptions.
func (b *fakeBus) cut() {
	b.set(func() {
		for s := range b.subs {
			s.broken <- errBroken
		}
	})
}

// recNode is a Link that records the calls of its functions.
type recNode struct {
	*Link
	mu   sync.Mutex
	log  []string // guarded by mu: keys that changed, "down", "up", "gap"
	warn []string // guarded by mu
}

func (n *recNode) add(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = append(n.log, s)
}

// take returns the calls since the last take.
func (n *recNode) take() string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	s := strings.Join(n.log, " ")
	n.log = nil
	return s
}

func (n *recNode) expect(t *testing.T, want string) {
	t.Helper()
	if got := n.take(); got != want {
		t.Errorf("the calls of %s are %q, want %q (state %+v)", n.cfg.Instance, got, want, n.State())
	}
}

const beat = 100 * time.Millisecond

func startNode(t *testing.T, b Bus, instance string) *recNode {
	return startNodeOn(t, b, "changes", "signals", instance)
}

func startNodeOn(t *testing.T, b Bus, changes, signals, instance string) *recNode {
	_, tokens := b.(remote.Sequencer)
	n := &recNode{}
	n.Link = Start(Config{
		Bus: b, Changes: changes, Signals: signals, Carries: tokens,
		CacheName: "test", SourceID: "source of " + instance, Instance: instance, Heartbeat: beat,
		Changed: func(keys []string) { n.add(strings.Join(keys, ",")) },
		Filled:  func(keys []string) { n.add("filled:" + strings.Join(keys, ",")) },
		Down:    func() { n.add("down") },
		Up:      func() { n.add("up") },
		Gap:     func(why string) { n.add("gap") },
		Broken:  func(error) {},
		Warn: func(format string, v ...any) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.warn = append(n.warn, fmt.Sprintf(format, v...))
		},
	})
	t.Cleanup(func() { n.Close(time.Second) })
	return n
}

// bubble runs test with two nodes that have heard each other: once without tokens, and once with
// tokens and in two processes.
func bubble(t *testing.T, test func(t *testing.T, b *fakeBus, one, two *recNode)) {
	t.Run("heartbeats", func(t *testing.T) { bubbleOfHeartbeats(t, test) })
	t.Run("tokens", func(t *testing.T) { bubbleOfTokens(t, test) })
}

func bubbleOfHeartbeats(t *testing.T, test func(t *testing.T, b *fakeBus, one, two *recNode)) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		one, two := startNode(t, b, "one"), startNode(t, b, "two")
		time.Sleep(10 * beat)
		one.expect(t, "down up")
		two.expect(t, "down up")
		test(t, b, one, two)
	})
}

func bubbleOfTokens(t *testing.T, test func(t *testing.T, b *fakeBus, one, two *recNode)) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		one, two := startNode(t, newProcess(b), "one"), startNode(t, newProcess(b), "two")
		time.Sleep(10 * beat)
		one.expect(t, "down up")
		two.expect(t, "down up")
		test(t, b, one, two)
	})
}
