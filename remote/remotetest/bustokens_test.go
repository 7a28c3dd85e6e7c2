package remotetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// brokenTokens is a Sequencer with one fault, which one of the flags names.
type brokenTokens struct {
	*Bus
	stale, reverse, steady, skips, hasty, fixed, eager, split bool
}

func (b *brokenTokens) Tokens(ctx context.Context, channels ...string) ([]string, error) {
	if b.eager {
		ctx = context.Background()
	}
	tokens, err := b.Bus.Tokens(ctx, channels...)
	if b.stale {
		for i := range tokens {
			tokens[i] = fmt.Sprintf("%d.x", int64(firstNumber))
		}
	}
	return tokens, err
}

func (b *brokenTokens) PublishNext(ctx context.Context, channel string, messages ...[]byte) error {
	switch {
	case b.steady && len(messages) == 0:
		return nil
	case b.skips:
		_ = b.Bus.PublishNext(ctx, channel)
	case b.reverse:
		for i := range messages {
			if err := b.Bus.PublishNext(ctx, channel, messages[len(messages)-1-i]); err != nil {
				return err
			}
		}
		return nil
	}
	return b.Bus.PublishNext(ctx, channel, messages...)
}

func (b *brokenTokens) Follow(ctx context.Context, channels []string, ready func(remote.Subscription), receive func(string, []byte)) error {
	return b.Bus.Follow(ctx, channels, func(sub remote.Subscription) { ready(&brokenSubscription{sub, b}) }, receive)
}

func (b *brokenTokens) SequencerOf() remote.Sequencer { return b }

func (b *brokenTokens) Group(channel string) any {
	if b.split {
		return channel
	}
	return b.Bus.Group(channel)
}

type brokenSubscription struct {
	remote.Subscription
	bus *brokenTokens
}

func (s *brokenSubscription) Sync(ctx context.Context) error {
	if s.bus.hasty {
		return ctx.Err()
	}
	return s.Subscription.Sync(ctx)
}

func (s *brokenSubscription) Remove(ctx context.Context, channels ...string) error {
	if s.bus.fixed {
		return nil
	}
	return s.Subscription.Remove(ctx, channels...)
}

func TestTheSuiteOfBusesNoticesFaultsOfTokens(t *testing.T) {
	for name, b := range map[string]*brokenTokens{
		"each message has the next token, and Tokens returns the newest": {stale: true},
		"messages of one call keep their order":                          {reverse: true},
		"PublishNext without messages leaves out a number":               {steady: true},
		"concurrent messages arrive in the order of their tokens":        {skips: true},
		"Sync returns when all earlier messages have been received":      {hasty: true},
		"channels can be added and removed":                              {fixed: true},
		"a cancelled context ends Tokens and PublishNext with an error":  {eager: true},
		"groups are comparable and stay the same":                        {split: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.Bus = NewBus()
			if err := suitetest.Verify[remote.Bus](busTokenChecks, name, b); err == nil {
				t.Error("the suite does not notice the fault")
			}
			b.Fail(errors.New("end of test"))
		})
	}
}

func TestTheBusInMemoryLosesTokens(t *testing.T) {
	b := NewBus()
	before, _ := b.Tokens(ctx, "a")
	b.LoseTokens()
	after, err := b.Tokens(ctx, "a")
	if err != nil || before[0] == after[0] {
		t.Errorf("the token was %s and is %s, %v", before, after, err)
	}
	if err := b.PublishNext(ctx, "a", []byte("no JSON")); err == nil {
		t.Error("PublishNext has taken what is no JSON object")
	}
	sub := make(chan remote.Subscription, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- b.Follow(ctx, []string{"a"}, func(s remote.Subscription) { sub <- s }, func(string, []byte) {})
	}()
	s := <-sub
	if n, err := b.Followers(ctx, "a", "b"); err != nil || n[0] != 1 || n[1] != 0 {
		t.Errorf("Followers: %d, %v", n, err)
	}
	b.Fail(errEnded)
	if err := <-ended; !errors.Is(err, errEnded) {
		t.Errorf("Follow: %v", err)
	}
	bounded, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.Sync(bounded); !errors.Is(err, errEnded) {
		t.Errorf("Sync: %v", err)
	}
	if err := s.Add(bounded, "b"); err == nil {
		t.Error("Add returned no error")
	}
}
