package link

import (
	"strings"
	"testing"
	"time"
)

// A node that loses its own messages has no gap: they are about nothing that it does not know.
func TestOwnMessagesThatAreLostAreNoGap(t *testing.T) {
	bubbleOfHeartbeats(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() {
			b.lose = func(channel, message string) bool { return channel == "signals" || strings.Contains(message, `"b"`) }
		})
		for _, key := range []string{"a", "b", "c"} {
			_ = one.Tell(5, []string{key}).Wait(ctx)
		}
		time.Sleep(5 * beat / 2)
		one.expect(t, "")
		two.expect(t, "a c gap")
	})
}

// Heartbeats of other nodes do not show that a node hears what itself publishes.
func TestANodeThatHearsOthersAndNotItselfIsDown(t *testing.T) {
	bubbleOfHeartbeats(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.lose = func(_, message string) bool { return strings.Contains(message, `"Instance":"one"`) } })
		time.Sleep(missedHeartbeats*beat + beat/2)
		if got := one.take(); !strings.HasPrefix(got, "down") {
			t.Errorf("it got %q, want down", got)
		}
		if got := two.take(); strings.Contains(got, "down") {
			t.Errorf("the other node got %q", got)
		}
	})
}

// In a mixed fleet, the heartbeats of a node with tokens show nothing about the tokens.
func TestHeartbeatsDoNotReplaceTokens(t *testing.T) {
	mixed(t, func(t *testing.T, b *fakeBus, old, one, two *recNode) {
		b.set(func() { b.noTokens = errBroken })
		time.Sleep((missedHeartbeats + 1) * beat)
		one.expect(t, "down")
		two.expect(t, "down")
	})
}

// A message without a Seq or without an Instance does not say that its publisher sends heartbeats.
func TestMessagesWithoutANumberMakeNoPeer(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		for _, m := range []string{
			`{"EventType":5,"Keys":["a"],"Instance":"x"}`,
			`{"EventType":5,"Keys":["b"],"SourceID":"x","Seq":3}`,
		} {
			_ = b.Publish(ctx, "changes", []byte(m))
		}
		time.Sleep(10 * beat)
		one.expect(t, "a b")
		if n := one.State().Nodes; n != 1 {
			t.Errorf("%d nodes are there, want 1", n)
		}
	})
	bubbleOfHeartbeats(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		_ = b.Publish(ctx, "changes", []byte(`{"EventType":5,"Keys":["a"],"Instance":"x","Token":"7.x"}`))
		time.Sleep(10 * beat)
		one.expect(t, "a")
	})
}

// A token of an unknown nonce is checked at once: it may be that of the channel.
func TestAnUnknownTokenIsCheckedAtOnce(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		time.Sleep(beat / 2)
		b.take()
		_ = b.Publish(ctx, "changes", []byte(`{"EventType":1,"Keys":["a"],"Instance":"x","Token":"1.other"}`))
		if c := b.take(); c.checks != 2 {
			t.Errorf("two nodes made %d checks, want 2", c.checks)
		}
		two.expect(t, "a gap")
	})
}

// Nodes with tokens send heartbeats as soon as they hear a node that needs them.
func TestHeartbeatsBeginAtOnce(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		time.Sleep(beat / 2)
		b.take()
		_ = b.Publish(ctx, "signals", encode(signal{SourceID: "x", Instance: "x"}))
		if c := b.take(); c.signals != 3 {
			t.Errorf("there were %d signals, want that of the node and two heartbeats", c.signals)
		}
	})
}
