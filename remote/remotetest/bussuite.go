package remotetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// RunBus verifies the properties of a remote.Bus, each in a subtest of its own, with a Bus that
// create returns for it. If the Bus is a remote.Sequencer, or also a
// remote.Presence, that is verified, too. RunBus does not
// verify that the Bus notices lost messages: for that, a test must be able to lose some.
func RunBus(t *testing.T, create func(t *testing.T) remote.Bus) {
	t.Helper()
	suitetest.Run(t, slices.Concat(busChecks, busTokenChecks, busPresenceChecks), create)
}

var busChecks = []suitetest.Check[remote.Bus]{
	{Name: "a subscriber receives the messages of its channels from ready on", Verify: busHears},
	{Name: "a subscriber receives no messages of other channels", Verify: busChannels},
	{Name: "messages of one publisher keep their order and their bytes", Verify: busOrder},
	{Name: "every subscriber receives every message", Verify: busAll},
	{Name: "receive is called one at a time", Verify: busSerial},
	{Name: "a subscription ends with its context", Verify: busEnds},
	{Name: "a cancelled context ends Publish with an error", Verify: busCancelled},
}

// busPatience bounds the wait for a message.
const busPatience = 5 * time.Second

// listener is a subscription that records its messages.
type listener struct {
	cancel context.CancelFunc
	ended  chan error

	mu    sync.Mutex
	heard []string      // guarded by mu: "channel:message"
	news  chan struct{} // has an element if there are new messages
}

func listen(b remote.Bus, receive func(), channels ...string) (*listener, error) {
	return listenBy(func(ctx context.Context, ready func(), receive func(string, []byte)) error {
		return b.Subscribe(ctx, channels, ready, receive)
	}, receive)
}

// listenBy is listen with a function that subscribes.
func listenBy(subscribe func(ctx context.Context, ready func(), receive func(string, []byte)) error, receive func()) (*listener, error) {
	l := &listener{ended: make(chan error, 1), news: make(chan struct{}, 1)}
	var subscribed context.Context
	subscribed, l.cancel = context.WithCancel(ctx)
	ready := make(chan struct{})
	go func() {
		l.ended <- subscribe(subscribed, func() { close(ready) }, func(channel string, message []byte) {
			if receive != nil {
				receive()
			}
			l.mu.Lock()
			l.heard = append(l.heard, channel+":"+string(message))
			l.mu.Unlock()
			select {
			case l.news <- struct{}{}:
			default:
			}
		})
	}()
	select {
	case <-ready:
		return l, nil
	case err := <-l.ended:
		return nil, fmt.Errorf("Subscribe: %w", err)
	case <-time.After(busPatience):
		return nil, errors.New("Subscribe does not call ready")
	}
}

// close ends the subscription. It fails if Subscribe does not return soon.
func (l *listener) close() error {
	l.cancel()
	select {
	case <-l.ended: //nolint:errcheck // that Subscribe ends is enough; a Bus may say why or not
		return nil
	case <-time.After(busPatience):
		return errors.New("Subscribe does not end with its context")
	}
}

// all returns the messages that were received.
func (l *listener) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.heard)
}

// wait returns the messages as soon as there are n.
func (l *listener) wait(n int) ([]string, error) {
	timeout := time.After(busPatience)
	for {
		heard := l.all()
		if len(heard) >= n {
			return heard, nil
		}
		select {
		case <-l.news:
		case <-timeout:
			return heard, fmt.Errorf("%d messages arrived, want %d", len(heard), n)
		}
	}
}

func publish(b remote.Bus, channel string, messages ...string) error {
	for _, m := range messages {
		if err := b.Publish(ctx, channel, []byte(m)); err != nil {
			return fmt.Errorf("Publish: %w", err)
		}
	}
	return nil
}

func busHears(b remote.Bus) error {
	if err := publish(b, "a", "nobody listens"); err != nil {
		return err
	}
	l, err := listen(b, nil, "a", "b")
	if err != nil {
		return err
	}
	if err := errors.Join(publish(b, "a", "1"), publish(b, "b", "2")); err != nil {
		return err
	}
	heard, err := l.wait(2)
	slices.Sort(heard)
	if err != nil || !slices.Equal(heard, []string{"a:1", "b:2"}) {
		return fmt.Errorf("it received %q, %v", heard, err)
	}
	return l.close()
}

func busChannels(b remote.Bus) error {
	l, err := listen(b, nil, "a")
	if err != nil {
		return err
	}
	if err := errors.Join(publish(b, "ab", "1"), publish(b, "a*", "2"), publish(b, "a", "3")); err != nil {
		return err
	}
	if heard, err := l.wait(1); err != nil || heard[0] != "a:3" {
		return fmt.Errorf("it received %q, %v", heard, err)
	}
	return l.close()
}

func busOrder(b remote.Bus) error {
	l, err := listen(b, nil, "a")
	if err != nil {
		return err
	}
	var want []string
	for i := range 300 {
		m := fmt.Sprintf("\x00\xff\n%d", i)
		want = append(want, "a:"+m)
		if err := publish(b, "a", m); err != nil {
			return err
		}
	}
	if heard, err := l.wait(len(want)); err != nil || !slices.Equal(heard, want) {
		return fmt.Errorf("%d messages came, in another order or with other bytes: %v", len(heard), err)
	}
	return l.close()
}

func busAll(b remote.Bus) error {
	var all []*listener
	for range 3 {
		l, err := listen(b, nil, "a")
		if err != nil {
			return err
		}
		all = append(all, l)
	}
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			for range 25 {
				errs[i] = errors.Join(errs[i], publish(b, "a", "x"))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, l := range all {
		if heard, err := l.wait(100); err != nil || len(heard) != 100 {
			return fmt.Errorf("subscriber %d received %d messages of 100: %w", i, len(heard), err)
		}
		if err := l.close(); err != nil {
			return err
		}
	}
	return nil
}

func busSerial(b remote.Bus) error {
	var inside sync.Mutex
	var overlap atomic.Bool
	l, err := listen(b, func() {
		if !inside.TryLock() {
			overlap.Store(true)
			return
		}
		time.Sleep(time.Millisecond)
		inside.Unlock()
	}, "a", "b")
	if err != nil {
		return err
	}
	for range 10 {
		if err := errors.Join(publish(b, "a", "x"), publish(b, "b", "x")); err != nil {
			return err
		}
	}
	if _, err := l.wait(20); err != nil {
		return err
	}
	if err := l.close(); err != nil {
		return err
	}
	if overlap.Load() {
		return errors.New("receive was called while another call of it ran")
	}
	return nil
}

func busEnds(b remote.Bus) error {
	l, err := listen(b, nil, "a")
	if err != nil {
		return err
	}
	if err := l.close(); err != nil {
		return err
	}
	return publish(b, "a", "1")
}

func busCancelled(b remote.Bus) error {
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := b.Publish(cancelled, "a", []byte("1")); err == nil {
		return errors.New("Publish returned no error")
	}
	return nil
}
