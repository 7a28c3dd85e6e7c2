package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// process is a fakeBus with tokens, as a process sees it that has its own subscription.
type process struct {
	*fakeBus
	killed atomic.Bool // its calls do nothing
	deaf   atomic.Bool // it cannot subscribe
}

func newProcess(b *fakeBus) *process { return &process{fakeBus: b} }

func (p *process) taken(ctx context.Context) error {
	if p.killed.Load() {
		return errBroken
	}
	return p.fakeBus.taken(ctx)
}

var (
	_ remote.Sequencer       = (*process)(nil)
	_ remote.FollowerCounter = (*process)(nil)
	_ remote.Presence        = (*process)(nil)
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

func (p *process) Attend(ctx context.Context, ttl time.Duration, attendances ...remote.Attendance) (tokens []string, err error) {
	if err := p.taken(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checks++
	p.asked += len(attendances)
	p.attended++
	if err := errors.Join(p.noTokens, p.noPresence); err != nil {
		return nil, err
	}
	now := time.Now()
	for _, a := range attendances {
		step := uint64(0)
		for m, until := range p.members {
			if m.channel == a.Channel && !now.Before(until) {
				delete(p.members, m)
				step = 1
			}
		}
		for _, m := range a.Staying {
			if p.members[fakeMember{a.Channel, m}].IsZero() {
				step = 1
			}
		}
		for _, m := range slices.Concat(a.Joining, a.Staying) {
			p.members[fakeMember{a.Channel, m}] = now.Add(ttl)
		}
		tokens = append(tokens, p.stepLocked(a.Channel, step))
	}
	return tokens, nil
}

func (p *process) Leave(ctx context.Context, channel string, members ...string) error {
	if err := p.taken(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range members {
		delete(p.members, fakeMember{channel, m})
	}
	return p.noPresence
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
	if p.deaf.Load() {
		return errBroken
	}
	return p.follow(ctx, &fakeSub{bus: p.fakeBus, owner: p, channels: slices.Clone(channels)}, func(s *fakeSub) { ready(s) }, receive)
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
