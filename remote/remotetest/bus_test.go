package remotetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestTheBusInMemory(t *testing.T) {
	RunBus(t, func(*testing.T) remote.Bus { return NewBus() })
}

func TestTheBusInMemoryBreaks(t *testing.T) {
	b, errBroken := NewBus(), errors.New("broken")
	l, err := listen(b, nil, "a")
	if err != nil {
		t.Fatal(err)
	}
	b.Lose(func(_ string, m []byte) bool { return string(m) == "lost" })
	_ = publish(b, "a", "lost", "kept")
	if heard, err := l.wait(1); err != nil || heard[0] != "a:kept" || b.Published("a") != 2 {
		t.Errorf("heard %q, %v of %d", heard, err, b.Published("a"))
	}
	b.Fail(errBroken)
	if err := <-l.ended; !errors.Is(err, errBroken) {
		t.Errorf("Subscribe ended with %v", err)
	}
	if err := publish(b, "a", "x"); !errors.Is(err, errBroken) {
		t.Errorf("Publish: %v", err)
	}
	if _, err := listen(b, nil, "a"); !errors.Is(err, errBroken) {
		t.Errorf("Subscribe: %v", err)
	}
	b.Fail(nil)
	if err := publish(b, "a", "x"); err != nil {
		t.Error(err)
	}
}

// brokenBus is a Bus with one fault, which one of the flags names.
type brokenBus struct {
	*Bus
	early, anyChannel, reverse, once, concurrent, deaf, eager bool

	mu   sync.Mutex
	used bool
}

func (b *brokenBus) Publish(ctx context.Context, channel string, m []byte) error {
	if b.eager {
		ctx = context.Background()
	}
	return b.Bus.Publish(ctx, channel, m)
}

func (b *brokenBus) Subscribe(ctx context.Context, channels []string, ready func(), receive func(string, []byte)) error {
	switch {
	case b.early:
		ready()
		time.Sleep(20 * time.Millisecond)
		return b.Bus.Subscribe(ctx, channels, func() {}, receive)
	case b.anyChannel:
		channels = append(channels, "ab")
	case b.reverse:
		var held []byte
		return b.Bus.Subscribe(ctx, channels, ready, func(c string, m []byte) {
			if held == nil {
				held = m
				return
			}
			receive(c, m)
			receive(c, held)
			held = nil
		})
	case b.once:
		b.mu.Lock()
		used := b.used
		b.used = true
		b.mu.Unlock()
		if used {
			receive = func(string, []byte) {}
		}
	case b.concurrent:
		return b.Bus.Subscribe(ctx, channels, ready, func(c string, m []byte) { go receive(c, m) })
	case b.deaf:
		return b.Bus.Subscribe(context.Background(), channels, ready, receive)
	}
	return b.Bus.Subscribe(ctx, channels, ready, receive)
}

func TestTheSuiteOfBusesNoticesFaults(t *testing.T) {
	for name, b := range map[string]*brokenBus{
		"a subscriber receives the messages of its channels from ready on": {early: true},
		"a subscriber receives no messages of other channels":              {anyChannel: true},
		"messages of one publisher keep their order and their bytes":       {reverse: true},
		"every subscriber receives every message":                          {once: true},
		"receive is called one at a time":                                  {concurrent: true},
		"a subscription ends with its context":                             {deaf: true},
		"a cancelled context ends Publish with an error":                   {eager: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.Bus = NewBus()
			if err := suitetest.Verify[remote.Bus](busChecks, name, b); err == nil {
				t.Error("the suite does not notice the fault")
			}
			b.Fail(errors.New("end of test"))
		})
	}
}
