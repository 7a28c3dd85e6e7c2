package link

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestAnIdleNodeWithTokensSendsNothing(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.take()
		time.Sleep(100 * beat)
		if c := b.take(); c.signals != 0 || c.published != 0 || c.checks < 190 || c.checks > 210 {
			t.Errorf("in 100 intervals, two nodes did %+v", c)
		}
		one.expect(t, "")
		two.expect(t, "")
	})
}

// loseOne makes the bus lose the next message about changes.
func loseOne(b *fakeBus) {
	b.set(func() {
		lost := false
		b.lose = func(channel, _ string) bool {
			lose := channel == "changes" && !lost
			lost = lost || lose
			return lose
		}
	})
}

func TestALostMessageIsNoticedByItsToken(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		loseOne(b)
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		two.expect(t, "")
		_ = one.Tell(5, []string{"b"}).Wait(ctx)
		two.expect(t, "b gap") // at once
		loseOne(b)
		_ = one.Tell(5, []string{"c"}).Wait(ctx)
		time.Sleep(beat + beat/10)
		two.expect(t, "gap") // by the next check
		_ = one.Tell(5, []string{"d"}).Wait(ctx)
		time.Sleep(10 * beat)
		two.expect(t, "d")
		if s := two.State(); s.Gaps != 2 || s.GapCause != "1 messages are missing" || !s.Ready {
			t.Errorf("the state is %+v", s)
		}
	})
}

func TestATokenThatTheServerHasLostIsAGap(t *testing.T) {
	for name, lose := range map[string]func(b *fakeBus){
		"all data":    func(b *fakeBus) { b.tokens["changes"] = token{7_000, "fresh"} },
		"by accident": func(b *fakeBus) { b.tokens["changes"] = token{7_001, "fresh"} },
		"the newest":  func(b *fakeBus) { t := b.tokens["changes"]; b.tokens["changes"] = token{t.number - 1, t.nonce} },
	} {
		t.Run(name, func(t *testing.T) {
			bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
				_ = one.Tell(5, []string{"a"}).Wait(ctx)
				two.expect(t, "a")
				b.set(func() { lose(b) })
				time.Sleep(beat + beat/10)
				two.expect(t, "gap")
				_ = one.Tell(5, []string{"b"}).Wait(ctx)
				time.Sleep(10 * beat)
				two.expect(t, "b")

				b.set(func() { lose(b) })
				_ = one.Tell(5, []string{"c"}).Wait(ctx)
				time.Sleep(10 * beat)
				if got := two.take(); !strings.HasPrefix(got, "c gap") {
					t.Errorf("it got %q", got)
				}
				_ = one.Tell(5, []string{"d"}).Wait(ctx)
				time.Sleep(10 * beat)
				two.expect(t, "d")
			})
		})
	}
}

// Messages about another database of the same server have another token.
func TestMessagesWithAForeignTokenAreOneGap(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		foreign := func(number int, nonce string) {
			_ = b.Publish(ctx, "changes", fmt.Appendf(nil, `{"EventType":1,"Keys":["f"],"Instance":"x","Token":"%d.%s"}`, number, nonce))
		}
		foreign(1, "other")
		foreign(1, "third")
		foreign(2, "other")
		two.expect(t, "f gap f gap f")
		time.Sleep(5 * beat)
		foreign(7, "other")
		foreign(7, "third")
		time.Sleep(5 * beat)
		two.expect(t, "f f")
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(5 * beat)
		two.expect(t, "a")
	})
}

func TestTheFirstMessagesAreNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		one := startNode(t, newProcess(b), "one")
		one.WaitReady(time.Second)
		b.set(func() { b.late, b.delay = beat/10, beat/50 })
		go func() {
			for range 300 {
				_ = one.Tell(5, []string{"a"}).Wait(ctx)
			}
		}()
		time.Sleep(beat / 3)
		two := startNode(t, newProcess(b), "two")
		time.Sleep(20 * beat)
		if s := two.State(); s.Gaps != 0 || !s.Ready || s.Received < 100 {
			t.Errorf("the state is %+v", s)
		}
	})
}

func TestASubscriptionThatDeliversNothingIsNoticed(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.swallowing = true })
		time.Sleep((missedHeartbeats + 1) * beat)
		if got := two.take(); !strings.HasPrefix(got, "down") {
			t.Errorf("it got %q, want down", got)
		}
		if s := two.State(); s.Ready || !errors.Is(s.Err, errSilent) {
			t.Errorf("the state is %+v", s)
		}
		time.Sleep(50 * beat)
		two.expect(t, "") // it stays down
		b.set(func() { b.swallowing = false })
		time.Sleep(30 * beat)
		two.expect(t, "up")
	})
}

// The server of the subscription is not the master any more, and has not noticed it.
func TestASubscriptionThatMissesMessagesAgainAndAgainIsReplaced(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		var old map[*fakeSub]bool
		b.set(func() { old, b.subs = b.subs, make(map[*fakeSub]bool) })
		for range 3 {
			_ = one.Tell(5, []string{"a"}).Wait(ctx)
			time.Sleep(beat)
		}
		time.Sleep(10 * beat)
		if got := two.take(); got != "gap gap down up" && got != "gap gap down up a" || len(old) != 2 {
			t.Errorf("it got %q", got)
		}
		if s := two.State(); !errors.Is(s.Err, errMissing) {
			t.Errorf("the state is %+v", s)
		}
		_ = one.Tell(5, []string{"b"}).Wait(ctx)
		time.Sleep(10 * beat)
		two.expect(t, "b")
	})
}

// The subscription works, but the token cannot be read: another node may have published on a server
// that has become the master.
func TestATokenThatCannotBeReadIsADown(t *testing.T) {
	for _, slow := range []bool{false, true} {
		bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
			b.set(func() {
				if slow {
					b.delay = time.Hour
				} else {
					b.noTokens = errBroken
				}
			})
			time.Sleep((missedHeartbeats + 1) * beat)
			if got := two.take(); got != "down" {
				t.Errorf("it got %q, want down", got)
			}
			if s := two.State(); !slow && !errors.Is(s.Err, errBroken) {
				t.Errorf("the state is %+v", s)
			}
			time.Sleep(100 * beat)
			two.expect(t, "")
			b.set(func() { b.noTokens, b.delay = nil, 0 })
			time.Sleep(lastPause + 5*beat)
			two.expect(t, "up")
			_ = one.Tell(5, []string{"a"}).Wait(ctx)
			two.expect(t, "a")
		})
	}
}

func TestATokenThatCannotBeReadForAMomentIsNothing(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.noTokens = errBroken })
		time.Sleep(3 * beat / 2)
		b.set(func() { b.noTokens = nil })
		time.Sleep(10 * beat)
		two.expect(t, "")
	})
}

func TestAServerWithoutTokensIsUsedByHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		b.noTokens = fmt.Errorf("%w: the ACL", remote.ErrUnsupported)
		p := newProcess(b)
		one, two, three := startNode(t, p, "one"), startNode(t, newProcess(b), "two"), startNode(t, p, "three")
		time.Sleep(10 * beat)
		for _, n := range []*recNode{one, two, three} {
			n.expect(t, "down up")
			if s := n.State(); s.Nodes != 2 {
				t.Errorf("the state is %+v", s)
			}
		}
		if len(one.warn) != 1 || !strings.Contains(one.warn[0], "the ACL") {
			t.Errorf("the warnings are %q", one.warn)
		}
		if a := one.Announce(5, []string{"a"}); a != nil {
			t.Errorf("the announcement is %+v", a)
		}
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		two.expect(t, "a")
		three.expect(t, "a")
		loseOne(b)
		_ = one.Tell(5, []string{"b"}).Wait(ctx)
		time.Sleep(3 * beat)
		two.expect(t, "gap")
		three.expect(t, "gap")
		one.Close(time.Second)
		time.Sleep(10 * beat)
		two.expect(t, "")
		three.expect(t, "")

		// The server allows tokens later.
		b.set(func() { b.noTokens = nil })
		b.cut()
		time.Sleep(20 * beat)
		two.expect(t, "down up")
		b.take()
		_ = two.Tell(5, []string{"c"}).Wait(ctx)
		time.Sleep(20 * beat)
		three.expect(t, "down up c")
		if c := b.take(); c.signals != 0 {
			t.Errorf("%+v", c)
		}
	})
}

func TestAPublisherWithoutTheRightToTokens(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		_ = one.Tell(5, []string{"before"}).Wait(ctx) // now it is a member
		time.Sleep(beat / 2)
		two.expect(t, "before")
		b.set(func() { b.noMessages = fmt.Errorf("%w: EVAL", remote.ErrUnsupported) })
		if err := one.Tell(5, []string{"a"}).Wait(ctx); err == nil {
			t.Error("the first attempt succeeded")
		}
		synctest.Wait()
		two.expect(t, "a")
		if err := one.Tell(5, []string{"b"}).Wait(ctx); err != nil {
			t.Error(err)
		}
		two.expect(t, "b")
	})
}
