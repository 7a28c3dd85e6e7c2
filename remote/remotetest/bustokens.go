package remotetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// token is the token of a channel. The number is that of the newest message.
type token struct {
	number uint64
	nonce  string
}

// firstNumber is the number of a new token, so that numbers have more digits than a float64 shows
// without an exponent by default.
const firstNumber = 20_000_000_000_000

func (t token) String() string { return fmt.Sprintf("%d.%s", t.number, t.nonce) }

// tokenLocked returns the token of channel, after adding step to it.
func (b *Bus) tokenLocked(channel string, step uint64) token {
	t := b.tokens[channel]
	if t.nonce == "" {
		t = token{firstNumber, rand.Text()}
	}
	t.number += step
	b.tokens[channel] = t
	return t
}

// Tokens returns the newest token of each channel.
func (b *Bus) Tokens(ctx context.Context, channels ...string) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := errors.Join(ctx.Err(), b.err); err != nil {
		return nil, err
	}
	tokens := make([]string, len(channels))
	for i, channel := range channels {
		tokens[i] = b.tokenLocked(channel, 0).String()
	}
	return tokens, nil
}

// PublishNext publishes messages with the next tokens of channel.
func (b *Bus) PublishNext(ctx context.Context, channel string, messages ...[]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := errors.Join(ctx.Err(), b.err); err != nil {
		return err
	}
	if len(messages) == 0 {
		b.tokenLocked(channel, 1)
	}
	for _, m := range messages {
		body, ok := bytes.CutSuffix(m, []byte("}"))
		if !ok {
			return fmt.Errorf("remotetest: PublishNext: the message %.100q does not end with }", m)
		}
		b.publishLocked(channel, fmt.Appendf(slices.Clone(body), `,"Token":%q}`, b.tokenLocked(channel, 1)))
	}
	return nil
}

// LoseTokens makes the Bus forget all tokens, as a server does that has lost its data.
func (b *Bus) LoseTokens() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.tokens)
}

// SequencerOf returns the Bus; see remote.Sequencer.
func (b *Bus) SequencerOf() remote.Sequencer { return b }

// Group returns the Bus: one call of Follow can receive all channels.
func (b *Bus) Group(string) any { return b }

// Followers returns the number of subscriptions of each channel.
func (b *Bus) Followers(_ context.Context, channels ...string) ([]int, error) {
	counts := make([]int, len(channels))
	for i, channel := range channels {
		counts[i] = b.Subscribers(channel)
	}
	return counts, nil
}

var errEnded = errors.New("remotetest: the subscription has ended")

// Sync waits until all earlier messages have been received.
func (s *subscription) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	passed := make(chan struct{})
	s.add(message{passed: passed})
	select {
	case <-passed:
		return nil
	case <-s.ended:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Add subscribes to channels.
func (s *subscription) Add(_ context.Context, channels ...string) error {
	return s.change(func() { s.channels = append(s.channels, channels...) })
}

// Remove ends the subscription to channels.
func (s *subscription) Remove(_ context.Context, channels ...string) error {
	return s.change(func() {
		s.channels = slices.DeleteFunc(s.channels, func(c string) bool { return slices.Contains(channels, c) })
	})
}

func (s *subscription) change(change func()) error {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	if s.bus.err != nil {
		return s.bus.err
	}
	change()
	return nil
}

var _ remote.Subscription = (*subscription)(nil)
