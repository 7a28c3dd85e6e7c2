package link

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var ctx = context.Background()

func TestOthersHearOfChangesAndTheNodeItselfDoesNot(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		if err := one.Tell(1, []string{"a", "b"}).Wait(ctx); err != nil {
			t.Fatal(err)
		}
		one.expect(t, "")
		two.expect(t, "a,b")
		if err := two.TellFilled(ctx, []string{"c"}); err != nil {
			t.Fatal(err)
		}
		one.expect(t, "filled:c")
		if s := two.State(); !s.Ready || s.Received != 1 || s.Nodes != 1 || s.Gaps != 0 {
			t.Errorf("the state is %+v", s)
		}
	})
}

func TestMessagesWrittenByHandAreUnderstood(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		_ = b.Publish(ctx, "changes", []byte(`{"CacheName":"x","SourceID":"by hand","EventType":5,"Keys":["a"]}`))
		one.expect(t, "a")
		two.expect(t, "a")
		_ = b.Publish(ctx, "changes", []byte(`{"CacheName":"x","SourceID":"source of one","EventType":5,"Keys":["a"]}`))
		one.expect(t, "")
		two.expect(t, "a")
		_ = b.Publish(ctx, "changes", []byte(`{"CacheName":"x","SourceID":"by hand","EventType":5,"Keys":[]}`))
		time.Sleep(10 * beat)
		one.expect(t, "")
	})
}

func TestAMessageThatIsNotUnderstoodIsAGap(t *testing.T) {
	for _, message := range []string{"hello", "{}", `{"Keys":7}`} {
		bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
			_ = b.Publish(ctx, "changes", []byte(message))
			time.Sleep(2 * beat)
			one.expect(t, "gap")
			if len(one.warn) != 1 || !strings.Contains(one.warn[0], "not understood") {
				t.Errorf("the warning about %q is %q", message, one.warn)
			}
		})
	}
}

func TestManyChangesAtATimeMakeFewMessages(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.delay = time.Millisecond })
		b.take()
		var wg sync.WaitGroup
		for i := range 5000 {
			wg.Go(func() {
				if err := one.Tell(5, []string{fmt.Sprint(i)}).Wait(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		heard := strings.FieldsFunc(two.take(), func(r rune) bool { return r == ',' || r == ' ' })
		if c := b.take(); len(heard) != 5000 || c.published > 10 {
			t.Errorf("%d keys arrived in %d messages, want 5000 in a few", len(heard), c.published)
		}
	})
}

func TestALostMessageIsAGap(t *testing.T) {
	bubbleOfHeartbeats(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.lose = func(channel, _ string) bool { return channel == "changes" } })
		if err := one.Tell(5, []string{"a"}).Wait(ctx); err != nil {
			t.Fatal(err)
		}
		b.set(func() { b.lose = nil })
		time.Sleep(3 * beat)
		two.expect(t, "gap")
		if s := two.State(); s.Gaps != 1 || !strings.Contains(s.GapCause, "1 messages of node") {
			t.Errorf("the state is %+v", s)
		}
		// It is one gap. Later messages count from there.
		_ = one.Tell(5, []string{"b"}).Wait(ctx)
		time.Sleep(10 * beat)
		two.expect(t, "b")
		one.expect(t, "")
	})
}

func TestMessagesThatOvertakeEachOtherAreNoGap(t *testing.T) {
	bubbleOfHeartbeats(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		var held [][2]string
		b.set(func() {
			b.lose = func(channel, message string) bool {
				if channel == "changes" {
					held = append(held, [2]string{channel, message})
				}
				return channel == "changes"
			}
		})
		for _, key := range []string{"a", "b", "c"} {
			_ = one.Tell(5, []string{key}).Wait(ctx)
		}
		b.set(func() { b.lose = nil })
		time.Sleep(beat / 2)
		for _, i := range []int{2, 0, 1, 1} {
			_ = b.Publish(ctx, held[i][0], []byte(held[i][1]))
		}
		time.Sleep(10 * beat)
		two.expect(t, "c a b b")
	})
}

func TestTheFirstMessageOfANodeAfterAReconnectIsNoGap(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		for range 6 {
			_ = one.Tell(5, []string{"a"}).Wait(ctx)
		}
		two.take()
		two.stream.peers.restart(missedHeartbeats * beat)
		_ = one.TellFilled(ctx, []string{"b"})
		time.Sleep(10 * beat)
		two.expect(t, "filled:b")
	})
}

func TestABrokenSubscriptionIsADownAndAnUp(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.cut()
		one.expect(t, "down")
		two.expect(t, "down")
		time.Sleep(5 * beat)
		one.expect(t, "up")
		if s := one.State(); s.Gaps != 1 || !errors.Is(s.Err, errBroken) || !s.Ready {
			t.Errorf("the state is %+v", s)
		}
		_ = two.Tell(1, []string{"a"}).Wait(ctx)
		time.Sleep(20 * beat)
		one.expect(t, "a")
	})
}

func TestANodeThatDoesNotHearItselfIsDown(t *testing.T) {
	bubbleOfHeartbeats(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.lose = func(_, message string) bool { return true } })
		time.Sleep(missedHeartbeats*beat + beat/2)
		got := one.take()
		if !strings.HasPrefix(got, "down") {
			t.Errorf("a node that hears nothing got %q, want down", got)
		}
		if s := one.State(); !errors.Is(s.Err, errSilent) {
			t.Errorf("the state is %+v", s)
		}
		b.set(func() { b.lose = nil })
		time.Sleep(30 * beat)
		if got += one.take(); !strings.HasSuffix(got, "up") || !one.State().Ready {
			t.Errorf("then it got %q, want up in the end", got)
		}
	})
}

func TestANodeThatFallsSilentIsAGapAndOneThatLeavesIsNot(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		two.Close(time.Second)
		two.expect(t, "down")
		time.Sleep(20 * beat)
		one.expect(t, "")
		if n := one.State().Nodes; n != 0 {
			t.Errorf("%d nodes are there", n)
		}

		three := startNode(t, b, "three")
		time.Sleep(10 * beat)
		one.expect(t, "")
		three.expect(t, "down up")
		b.set(func() { b.lose = func(_, message string) bool { return strings.Contains(message, `"three"`) } })
		time.Sleep(missedHeartbeats*beat + 2*beat)
		one.expect(t, "gap")
	})
}

func TestANewNodeWhoseEarlierChangesWereMissedIsAGap(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		_ = b.Publish(ctx, "changes", encode(change{EventType: 1, Keys: []string{"a"}, Instance: "three", Seq: 7}))
		time.Sleep(2 * beat)
		one.expect(t, "a gap")
	})
}

func TestTheCauseOfAGapIsOneLineOfBoundedLength(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		source := strings.Repeat("x", 100_000)
		_ = b.Publish(ctx, "changes", encode(change{EventType: 1, Keys: []string{"a"}, SourceID: "a\nb" + source, Instance: "three", Seq: 7}))
		time.Sleep(2 * beat)
		one.expect(t, "a gap")
		if cause := one.State().GapCause; len(cause) > 1200 || !strings.Contains(cause, "node a bxxx") {
			t.Errorf("the cause has %d bytes: %.50q", len(cause), cause)
		}
	})
}

func TestAChangeThatCannotBeSentIsAnErrorAndIsSentLater(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.refuse = errBroken })
		if err := one.Tell(1, []string{"a"}).Wait(ctx); !errors.Is(err, errBroken) {
			t.Errorf("the error is %v", err)
		}
		// A later caller does not wait.
		began := time.Now()
		if err := one.Tell(1, []string{"b"}).Wait(ctx); !errors.Is(err, errBroken) || time.Since(began) != 0 {
			t.Errorf("the error is %v after %s", err, time.Since(began))
		}
		if n := one.State().Waiting; n != 1 {
			t.Errorf("%d keys wait beside the one that is being sent, want 1", n)
		}
		b.set(func() { b.refuse = nil })
		time.Sleep(lastPause)
		if got := strings.ReplaceAll(two.take(), "gap ", ""); got != "a b" {
			t.Errorf("then the other node got %q", got)
		}
		if err := one.Tell(1, []string{"c"}).Wait(ctx); err != nil {
			t.Errorf("when the bus works again: %v", err)
		}
	})
}

func TestAWaiterLeavesWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.delay = time.Second })
		ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if err := one.Tell(1, []string{"a"}).Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
		b.set(func() { b.delay = 0 })
		time.Sleep(2 * time.Second)
		if got := two.take(); !strings.Contains(got, "a") {
			t.Errorf("the other node got %q", got)
		}
	})
}

func TestTooManyWaitingKeysAreAGapForTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.refuse = errBroken })
		_ = one.Tell(1, []string{"first"}).Wait(ctx)
		for i := range maxWaiting {
			one.Tell(1, []string{fmt.Sprint(i)})
		}
		if err := one.Tell(1, []string{"one too many"}).Wait(ctx); !errors.Is(err, errOverflow) {
			t.Errorf("the error is %v", err)
		}
		b.set(func() { b.refuse = nil })
		time.Sleep(lastPause)
		two.take()
		time.Sleep(5 * beat)
		if s := two.State(); !strings.HasPrefix(s.GapCause, "1 messages ") {
			t.Errorf("the state is %+v", s)
		}
	})
}

func TestCloseSendsWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.delay = beat / 2 })
		for _, key := range []string{"a", "b"} {
			one.Tell(1, []string{key})
			synctest.Wait()
		}
		if n := one.Close(time.Second); n != 0 {
			t.Errorf("%d keys were not sent", n)
		}
		if got := two.take(); got != "a b" {
			t.Errorf("the other node got %q", got)
		}
		if err := one.Tell(1, []string{"c"}).Wait(ctx); !errors.Is(err, errClosed) {
			t.Errorf("after Close: %v", err)
		}
		one.expect(t, "down")
	})
}

func TestCloseGivesUpOnABusThatFails(t *testing.T) {
	test := func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.refuse = errBroken })
		_ = one.Tell(1, []string{"a", "b"}).Wait(ctx)
		if n := one.Close(time.Second); n != 2 {
			t.Errorf("%d keys were not sent, want 2", n)
		}
		b.set(func() { b.refuse = nil })
		time.Sleep(10 * beat)
		if got := two.take(); !strings.Contains(got, "gap") {
			t.Errorf("the other node got %q, want a gap", got)
		}
	}
	t.Run("heartbeats", func(t *testing.T) { bubbleOfHeartbeats(t, test) })
	t.Run("tokens", func(t *testing.T) {
		bubbleApart(t, func(t *testing.T, b *fakeBus, one, two, _ *recNode) { test(t, b, one, two) })
	})
}

func TestABusThatCannotBeReachedAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		b.refuse = errBroken
		one := startNode(t, b, "one")
		began := time.Now()
		one.WaitReady(time.Second)
		if time.Since(began) != 0 {
			t.Errorf("it waited %s for a bus that refuses", time.Since(began))
		}
		one.expect(t, "down")
		if s := one.State(); s.Ready || !errors.Is(s.Err, errBroken) || s.Gaps != 0 {
			t.Errorf("the state is %+v", s)
		}
		b.set(func() { b.refuse = nil })
		time.Sleep(lastPause)
		one.expect(t, "up")
	})
}

// On a connection that delivers everything, but late, heartbeats come back at regular intervals.
func TestAConnectionOnWhichChangesAreLateIsDown(t *testing.T) {
	for late, want := range map[time.Duration]string{
		beat:      "a",
		10 * beat: "down",
	} {
		bubble(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
			b.set(func() { b.late = late })
			time.Sleep(30 * beat)
			for range 20 { // at different moments between two attempts to subscribe
				time.Sleep(7 * beat / 3)
				two.take()
				down := !two.State().Ready
				if err := one.Tell(5, []string{"a"}).Wait(ctx); err != nil {
					t.Fatal(err)
				}
				time.Sleep(missedHeartbeats*beat + beat/4)
				if got := two.take(); !strings.Contains(got, want) && !down {
					t.Errorf("with messages that come %s late, it got %q, want %q", late, got, want)
				}
			}
		})
	}
}

// embedding is a bus that embeds one with tokens, and publishes by itself.
type embedding struct {
	*process
	published atomic.Int32
}

func (e *embedding) Publish(ctx context.Context, channel string, message []byte) error {
	if channel == "changes" {
		e.published.Add(1)
	}
	return e.process.Publish(ctx, channel, message)
}

func TestABusThatEmbedsOneWithTokensPublishesByItself(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		e := &embedding{process: newProcess(b)}
		three := startNode(t, e, "three")
		time.Sleep(10 * beat)
		e.published.Store(0)
		if a := three.Announce(5, []string{"a"}); a != nil {
			t.Errorf("a change would carry %+v", a)
		}
		_ = three.Tell(5, []string{"a"}).Wait(ctx)
		one.expect(t, "a")
		if n := e.published.Load(); n != 1 {
			t.Errorf("it published %d messages", n)
		}
		if len(three.warn) != 1 || !strings.Contains(three.warn[0], "SequencerOf") {
			t.Errorf("the warnings are %q", three.warn)
		}
		three.expect(t, "down up")
	})
}
