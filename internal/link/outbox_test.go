package link

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// Keys that wait behind a publication that fails have its error at once.
func TestAnAttemptThatFailsSettlesThoseThatWait(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.refuse, b.delay = errBroken, beat/2 })
		began := time.Now()
		one.Tell(5, []string{"a"})
		time.Sleep(beat / 4)
		if err := one.Tell(5, []string{"b"}).Wait(ctx); !errors.Is(err, errBroken) || time.Since(began) != beat/2 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// A call has a bounded number of messages.
func TestVeryManyKeysAreAFewCalls(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		keys := make([]string, (maxMessages+5)*maxKeys)
		for i := range keys {
			keys[i] = fmt.Sprint(i)
		}
		b.take()
		_ = one.Tell(5, keys).Wait(ctx)
		if c := b.take(); c.calls != 2 || c.published != maxMessages+5 {
			t.Errorf("it made %+v", c)
		}
	})
}

// A publisher that may not use tokens publishes without them at once, also in a pause between attempts.
func TestAMessageThatIsRefusedItsTokenIsSentWithoutIt(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		time.Sleep(beat / 4)
		b.set(func() { b.noMessages = errBroken })
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		two.expect(t, "")
		b.take()
		b.set(func() { b.noMessages = fmt.Errorf("%w: EVAL", remote.ErrUnsupported) })
		time.Sleep(2*firstPause + beat/4) // the first of the pauses is left out, as the subscription has become ready
		two.expect(t, "a")
		if c := b.take(); c.signals == 0 {
			t.Error("it sent no heartbeat at once")
		}
	})
}

// When the subscription is ready again, so is the bus, probably.
func TestASubscriptionThatIsReadyEndsThePauseBetweenAttempts(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.noMessages = errBroken })
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(50*beat + beat/2) // the pauses are the longest now
		b.set(func() { b.noMessages = nil })
		b.cut()
		time.Sleep(beat)
		if s := one.State(); s.Sent != 1 {
			t.Errorf("the state is %+v", s)
		}
	})
}

// A node without tokens may hear a node with tokens that does not hear it.
func TestASignalOfFilledKeysPromisesNoHeartbeats(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.lose = func(_, message string) bool { return strings.Contains(message, `"Instance":"old"`) } })
		old := startNode(t, b, "old")
		time.Sleep(beat / 2)
		_ = one.TellFilled(ctx, []string{"a"})
		one.Close(time.Second)
		b.set(func() { b.lose = nil })
		time.Sleep(10 * beat)
		old.expect(t, "down up filled:a")
	})
	mixed(t, func(t *testing.T, b *fakeBus, old, one, two *recNode) {
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(2 * beat)
		_ = one.TellFilled(ctx, []string{"b"})
		time.Sleep(10 * beat)
		old.expect(t, "a filled:b")
	})
}

func TestANodeThatSentNoHeartbeatsLeavesWithoutASignal(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.take()
		one.Close(time.Second)
		if c := b.take(); c.signals != 0 {
			t.Errorf("it sent %d signals", c.signals)
		}
	})
}

func TestCloseDoesNotWaitForABusThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.delay = time.Hour })
		one.Tell(5, []string{"a"})
		began := time.Now()
		if n := one.Close(beat); n != 1 || time.Since(began) > 3*beat {
			t.Errorf("after %s, %d keys were not sent, want 1", time.Since(began), n)
		}
		began = time.Now()
		if n := two.Close(beat); n != 0 || time.Since(began) > 3*beat {
			t.Errorf("without keys, after %s, %d were not sent", time.Since(began), n)
		}
		b.set(func() { b.delay = 0 })
		time.Sleep(2 * publishTimeout) // the calls that hang end
	})
}

// changeless is a bus that refuses changes.
type changeless struct {
	*fakeBus
	refuses atomic.Bool
}

func (c *changeless) Publish(ctx context.Context, channel string, message []byte) error {
	if c.refuses.Load() && channel == "changes" {
		return errBroken
	}
	return c.fakeBus.Publish(ctx, channel, message)
}

// A node that leaves says which changes it has given up.
func TestTheLastHeartbeatCountsWhatWasGivenUp(t *testing.T) {
	bubbleOfHeartbeats(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		c := &changeless{fakeBus: b}
		three := startNode(t, c, "three")
		time.Sleep(10 * beat)
		c.refuses.Store(true)
		_ = three.Tell(5, []string{"a"}).Wait(ctx)
		if n := three.Close(time.Second); n != 1 {
			t.Errorf("%d keys were not sent, want 1", n)
		}
		time.Sleep(3 * beat / 2)
		two.expect(t, "gap")
	})
}

// What is given up may be no message, but the number that is left out for keys that were dropped.
func TestAnOverflowThatIsGivenUpCountsAsUnsent(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		one.out.publishing.Lock()
		one.out.giveUp(nil)
		one.out.publishing.Unlock()
		if n := one.Close(time.Second); n != 1 {
			t.Errorf("%d keys were not sent, want 1", n)
		}
	})
}
