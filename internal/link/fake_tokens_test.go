package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// process is a fakeBus with tokens, as a process sees it that has its own subscription.
type process struct{ *fakeBus }

func newProcess(b *fakeBus) *process { return &process{b} }

var (
	_ remote.Sequencer       = (*process)(nil)
	_ remote.FollowerCounter = (*process)(nil)
)

func (p *process) SequencerOf() remote.Sequencer { return p }
func (p *process) Group(string) any              { return p }

func (b *fakeBus) stepLocked(channel string, step uint64) string {
	t := b.tokens[channel]
	if t.nonce == "" {
		t = token{7_000, fmt.Sprintf("nonce%d", len(b.tokens))}
	}
	t.number += step
	b.tokens[channel] = t
	return fmt.Sprintf("%d.%s", t.number, t.nonce)
}

func (p *process) Tokens(ctx context.Context, channels ...string) (tokens []string, err error) {
	if err := p.taken(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checks++
	p.asked += len(channels)
	for _, channel := range channels {
		tokens = append(tokens, p.stepLocked(channel, 0))
	}
	return tokens, p.noTokens
}

func (p *process) PublishNext(ctx context.Context, channel string, messages ...[]byte) error {
	if err := p.taken(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noTokens != nil {
		return p.noTokens
	}
	if len(messages) > 0 && p.noMessages != nil {
		return p.noMessages
	}
	p.calls++
	if len(messages) == 0 {
		p.stepLocked(channel, 1)
	}
	for _, m := range messages {
		p.publishLocked(channel, fmt.Sprintf(`%s,"Token":%q}`, strings.TrimSuffix(string(m), "}"), p.stepLocked(channel, 1)))
	}
	return nil
}

func (p *process) Follow(ctx context.Context, channels []string, ready func(remote.Subscription), receive func(channel string, message []byte)) error {
	return p.follow(ctx, slices.Clone(channels), func(s *fakeSub) { ready(s) }, receive)
}

func (p *process) Followers(_ context.Context, channels ...string) (counts []int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, channel := range channels {
		n := 0
		for s := range p.subs {
			if slices.Contains(s.channels, channel) {
				n++
			}
		}
		counts = append(counts, n)
	}
	return counts, nil
}

func (s *fakeSub) Sync(ctx context.Context) error {
	passed := make(chan struct{})
	s.bus.mu.Lock()
	if !s.bus.swallowing {
		s.deliver(s.bus.late, fakeMessage{passed: passed})
	}
	s.bus.mu.Unlock()
	select {
	case <-passed:
		return nil
	case <-s.ended:
		return errors.New("ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *fakeSub) Add(_ context.Context, channels ...string) error {
	s.bus.set(func() { s.channels = append(s.channels, channels...) })
	return nil
}

func (s *fakeSub) Remove(_ context.Context, channels ...string) error {
	s.bus.set(func() {
		s.channels = slices.DeleteFunc(s.channels, func(c string) bool { return slices.Contains(channels, c) })
	})
	return nil
}
