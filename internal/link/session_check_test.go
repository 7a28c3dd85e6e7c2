package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// hastyProcess is a process whose subscriptions answer a Sync before they deliver the newest
// messages, as an embedded server does.
type hastyProcess struct {
	*process
	hasty atomic.Int32 // number of Syncs that are answered too early
}

func (p *hastyProcess) SequencerOf() remote.Sequencer { return p }

type hastySub struct {
	*fakeSub
	p *hastyProcess
}

func (p *hastyProcess) Follow(ctx context.Context, channels []string, ready func(remote.Subscription), receive func(channel string, message []byte)) error {
	return p.follow(ctx, &fakeSub{bus: p.fakeBus, owner: p.process, channels: slices.Clone(channels)}, func(s *fakeSub) { ready(&hastySub{s, p}) }, receive)
}

func (s *hastySub) Sync(ctx context.Context) error {
	if s.p.hasty.Add(-1) >= 0 {
		return nil
	}
	return s.fakeSub.Sync(ctx)
}

// What a ping did not wait for, a second one does.
func TestAPingThatIsAnsweredTooEarly(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		three := startNode(t, &hastyProcess{process: newProcess(b)}, "three")
		time.Sleep(beat / 2)
		three.expect(t, "down up")
		b.set(func() { b.late = beat / 4 })
		time.Sleep(4 * beat / 10) // the message arrives after the next check has read the token
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		three.cfg.Bus.(*hastyProcess).hasty.Store(1)
		time.Sleep(beat)
		three.expect(t, "a")
	})
}

// A check that finds missing messages is followed by one that finds none, and one that finds some.
func TestMissingMessagesWithNothingElseInBetween(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		tell := func(lost bool) {
			if lost {
				loseOne(b)
			}
			_ = one.Tell(5, []string{"a"}).Wait(ctx)
			time.Sleep(5 * beat)
		}
		tell(true)
		tell(false)
		tell(true)
		two.expect(t, "gap a gap")
		tell(true) // there was nothing that arrived
		if got := two.take(); got != "gap down up" {
			t.Errorf("the calls are %q", got)
		}
	})
}

// What was published while there was no subscription is part of the time without one.
func TestNothingIsMissingThatWasPublishedBeforeASubscription(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		time.Sleep(beat / 10)
		_ = b.Publish(ctx, "changes", []byte("not understood"))
		b.cut()
		synctest.Wait()
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(5 * beat)
		two.expect(t, "down up")
		loseOne(b)
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(5 * beat)
		two.expect(t, "gap")
	})
}

// It takes a while until the first check has ended, and a node was down before for long.
func TestASubscriptionWhoseFirstCheckIsSlow(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.refuse = errBroken })
		b.cut()
		time.Sleep(50 * beat)
		b.set(func() { b.refuse, b.delay = nil, beat })
		time.Sleep(lastPause + 3*beat)
		two.expect(t, "down up")
	})
}

// A Link joins after its hub's subscription has ended, while a check of that subscription goes on.
func TestALinkThatJoinsASubscriptionThatHasEnded(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		cfg, held := two.cfg, make(chan struct{})
		cfg.Instance, cfg.Gap = "slow", func(string) { <-held }
		slow := Start(cfg)
		defer slow.Close(time.Second)
		time.Sleep(beat / 2)
		loseOne(b)
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(beat) // the check is in slow's Gap
		b.set(func() { b.refuse = errBroken })
		b.cut()
		synctest.Wait()
		three := startNode(t, two.cfg.Bus, "three")
		close(held)
		three.expect(t, "down")
	})
}

// A gap is none for a Link that is not ready yet: its entries are all in doubt.
func TestAGapWhileALinkJoins(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		time.Sleep(beat / 2)
		loseOne(b)
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		three := startNode(t, two.cfg.Bus, "three")
		three.expect(t, "down up")
		two.expect(t, "gap")
	})
}

// The channels of a Link that has left are left at once, and not checked any more.
func TestTheChannelsOfALinkThatLeaves(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		three := startNodeOn(t, one.cfg.Bus, "other", "other signals", "three")
		three.WaitReady(time.Second)
		time.Sleep(beat / 2)
		if _, channels := b.subscriptions(); channels != 6 {
			t.Errorf("there are subscriptions of %d channels, want 6", channels)
		}
		three.Close(time.Second)
		synctest.Wait()
		if _, channels := b.subscriptions(); channels != 4 {
			t.Errorf("then of %d channels, want 4", channels)
		}
		b.take()
		time.Sleep(10 * beat)
		if c := b.take(); c.asked != c.checks {
			t.Errorf("%d channels were asked for in %d checks of one channel", c.asked, c.checks)
		}
	})
}

// A bus of a user's own may be wrong.
func TestABusThatReturnsTooFewTokens(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		p := &fewTokens{process: newProcess(b)}
		three := startNode(t, p, "three")
		time.Sleep(10 * beat)
		if s := three.State(); s.Ready || s.Err == nil || !strings.Contains(s.Err.Error(), "0 tokens of 1 channels") {
			t.Errorf("the state is %+v", s)
		}
	})
}

type fewTokens struct{ *process }

func (p *fewTokens) SequencerOf() remote.Sequencer { return p }

func (*fewTokens) Tokens(context.Context, ...string) ([]string, error) { return nil, nil }

// A Link with a shorter heartbeat joins one with a longer one, and they need heartbeats.
func TestALinkWithAShorterHeartbeatJoinsWithoutTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		b.noTokens = fmt.Errorf("%w: the ACL", remote.ErrUnsupported)
		p := newProcess(b)
		one := startNode(t, p, "one")
		slow := one.cfg
		slow.Instance, slow.Heartbeat = "slow", 100*beat
		l := Start(slow)
		defer l.Close(time.Second)
		time.Sleep(beat / 2)
		one.Close(time.Second)
		time.Sleep(150 * beat)
		three := startNode(t, p, "three")
		time.Sleep(20 * beat)
		three.expect(t, "down up")
	})
}

// Nodes that begin or cease to use tokens do not miss what others sent before.
func TestANodeThatChangesItsMode(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		mixed(t, func(t *testing.T, b *fakeBus, old, one, two *recNode) {
			for range 5 {
				_ = one.Tell(5, []string{"a"}).Wait(ctx)
			}
			old.Close(time.Second)
			time.Sleep(10 * beat)
			two.expect(t, "a a a a a")
			b.set(func() { b.noTokens = fmt.Errorf("%w: the ACL", remote.ErrUnsupported) })
			time.Sleep(10 * beat)
			two.expect(t, "")
		})
	})
	t.Run("allowed again", func(t *testing.T) {
		bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
			b.set(func() { b.noTokens = fmt.Errorf("%w: the ACL", remote.ErrUnsupported) })
			time.Sleep(10 * beat)
			one.expect(t, "")
			b.set(func() { b.noTokens, b.delay = nil, 9*beat/10 })
			b.cut()
			time.Sleep(20 * beat)
			one.expect(t, "down up")
			if s := one.State(); !errors.Is(s.Err, errBroken) || s.Gaps != 1 {
				t.Errorf("the state is %+v", s)
			}
		})
	})
}

// stuckProcess is a process whose subscriptions can refuse to be changed.
type stuckProcess struct {
	*process
	stuck atomic.Bool
}

func (p *stuckProcess) SequencerOf() remote.Sequencer { return p }

type stuckSub struct {
	*fakeSub
	p *stuckProcess
}

func (p *stuckProcess) Follow(ctx context.Context, channels []string, ready func(remote.Subscription), receive func(channel string, message []byte)) error {
	return p.follow(ctx, &fakeSub{bus: p.fakeBus, owner: p.process, channels: slices.Clone(channels)}, func(s *fakeSub) { ready(&stuckSub{s, p}) }, receive)
}

func (s *stuckSub) Remove(ctx context.Context, channels ...string) error {
	if s.p.stuck.Load() {
		return errBroken
	}
	return s.fakeSub.Remove(ctx, channels...)
}

// A channel is left by the next round if it could not be left by the first.
func TestAChannelThatCannotBeLeftAtOnce(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		p := &stuckProcess{process: newProcess(b)}
		three, four := startNode(t, p, "three"), startNodeOn(t, p, "other", "other signals", "four")
		time.Sleep(beat / 2)
		p.stuck.Store(true)
		four.Close(time.Second)
		time.Sleep(beat)
		p.stuck.Store(false)
		time.Sleep(2 * beat)
		if _, channels := b.subscriptions(); channels != 6 {
			t.Errorf("there are subscriptions of %d channels, want 6", channels)
		}
		three.expect(t, "down up")
	})
}
