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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBus carries messages in memory. A test can make it lose, delay or refuse them.
type fakeBus struct {
	mu        sync.Mutex
	subs      map[*fakeSub]bool
	published int                                       // guarded by mu: messages on the channel of changes
	lose      func(channel string, message string) bool // guarded by mu; nil if it loses nothing
	refuse    error                                     // guarded by mu: the error of Publish and Subscribe
	delay     time.Duration                             // guarded by mu: of Publish
	late      time.Duration                             // guarded by mu: how late a subscriber gets a message
}

type fakeSub struct {
	queue  chan [2]string
	broken chan error
}

func newFakeBus() *fakeBus {
	return &fakeBus{subs: make(map[*fakeSub]bool)}
}

var errBroken = errors.New("broken")

func (b *fakeBus) Publish(ctx context.Context, channel string, message []byte) error {
	b.mu.Lock()
	delay, refuse := b.delay, b.refuse
	b.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	if refuse != nil {
		return refuse
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if channel == "changes" {
		b.published++
	}
	if b.lose != nil && b.lose(channel, string(message)) {
		return nil
	}
	for s := range b.subs {
		deliver := func() {
			select {
			case s.queue <- [2]string{channel, string(message)}:
			default:
				panic("a subscriber is too slow for a test")
			}
		}
		if b.late == 0 {
			deliver()
		} else {
			time.AfterFunc(b.late, deliver)
		}
	}
	return nil
}

func (b *fakeBus) Subscribe(ctx context.Context, channels []string, ready func(), receive func(channel string, message []byte)) error {
	s := &fakeSub{queue: make(chan [2]string, 10_000), broken: make(chan error, 1)}
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
	ready()
	for {
		select {
		case m := <-s.queue:
			if slices.Contains(channels, m[0]) {
				receive(m[0], []byte(m[1]))
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

func startNode(t *testing.T, b *fakeBus, instance string) *recNode {
	n := &recNode{}
	n.Link = Start(Config{
		Bus: b, Changes: "changes", Signals: "signals",
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

// bubble runs test with two nodes that have heard each other.
func bubble(t *testing.T, test func(t *testing.T, b *fakeBus, one, two *recNode)) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		one, two := startNode(t, b, "one"), startNode(t, b, "two")
		time.Sleep(10 * beat)
		one.expect(t, "down up")
		two.expect(t, "down up")
		test(t, b, one, two)
	})
}
