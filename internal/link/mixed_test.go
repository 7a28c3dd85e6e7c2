package link

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// mixed runs test with a node that has no tokens, and two nodes with tokens in two processes. The
// former starts when the latter have been running for a while.
func mixed(t *testing.T, test func(t *testing.T, b *fakeBus, old, one, two *recNode)) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		for range 3 {
			_ = one.Tell(5, []string{"before"}).Wait(ctx)
			_ = one.TellFilled(ctx, []string{"before"})
		}
		old := startNode(t, b, "old")
		time.Sleep(10 * beat)
		old.expect(t, "down up")
		one.expect(t, "")
		two.take()
		test(t, b, old, one, two)
	})
}

func TestNodesWithAndWithoutTokensHearEachOther(t *testing.T) {
	mixed(t, func(t *testing.T, b *fakeBus, old, one, two *recNode) {
		for _, n := range []*recNode{old, one, two} {
			_ = n.Tell(5, []string{"of " + n.cfg.Instance}).Wait(ctx)
		}
		time.Sleep(10 * beat)
		old.expect(t, "of one of two")
		one.expect(t, "of old of two")
		two.expect(t, "of old of one")
		if s := old.State(); s.Nodes != 2 || s.Gaps != 0 {
			t.Errorf("the state is %+v", s)
		}
		if a := one.Announce(5, []string{"a"}); a != nil {
			t.Errorf("a change would carry %+v", a)
		}
	})
}

func TestALostMessageIsNoticedInAMixedFleet(t *testing.T) {
	mixed(t, func(t *testing.T, b *fakeBus, old, one, two *recNode) {
		loseOne(b)
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(5 * beat)
		old.expect(t, "gap")
		two.expect(t, "gap")
		one.take()
		loseOne(b)
		_ = old.Tell(5, []string{"b"}).Wait(ctx)
		time.Sleep(5 * beat)
		one.expect(t, "gap")
		two.expect(t, "gap")
		time.Sleep(20 * beat)
		for _, n := range []*recNode{old, one, two} {
			n.expect(t, "")
		}
	})
}

func TestHeartbeatsEndWithTheLastNodeThatNeedsThem(t *testing.T) {
	for name, leave := range map[string]func(b *fakeBus, old *recNode){
		"leaves": func(_ *fakeBus, old *recNode) { old.Close(time.Second) },
		"dies": func(b *fakeBus, old *recNode) {
			b.set(func() { b.lose = func(_, _ string) bool { return true } })
			old.Close(time.Second)
			b.set(func() { b.lose = nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			mixed(t, func(t *testing.T, b *fakeBus, old, one, two *recNode) {
				b.take()
				time.Sleep(10 * beat)
				if c := b.take(); c.signals < 27 || c.signals > 33 {
					t.Errorf("three nodes sent %d signals in 10 intervals", c.signals)
				}
				for range 5 {
					_ = one.Tell(5, []string{"a"}).Wait(ctx)
				}
				leave(b, old)
				time.Sleep(10 * beat)
				two.take()
				one.take()
				b.take()
				time.Sleep(10 * beat)
				if c := b.take(); c.signals != 0 {
					t.Errorf("then %d signals were sent", c.signals)
				}
				if a := one.Announce(5, []string{"a"}); a == nil {
					t.Error("no change may carry an announcement")
				}

				again := startNode(t, b, "again")
				time.Sleep(10 * beat)
				_ = one.Tell(5, []string{"b"}).Wait(ctx)
				loseOne(b)
				_ = one.Tell(5, []string{"c"}).Wait(ctx)
				time.Sleep(5 * beat)
				again.expect(t, "down up b gap")
			})
		})
	}
}

// A node without tokens sees nodes with tokens come and go, and no gaps.
func TestANodeWithTokensThatLeavesIsNoGap(t *testing.T) {
	mixed(t, func(t *testing.T, b *fakeBus, old, one, two *recNode) {
		for _, n := range []*recNode{one, two} {
			_ = n.Tell(5, []string{"a"}).Wait(ctx)
			n.Close(time.Second)
		}
		time.Sleep(20 * beat)
		old.expect(t, "a a")
		three := startNode(t, newProcess(b), "three")
		time.Sleep(2 * beat)
		_ = three.Tell(5, []string{"b"}).Wait(ctx)
		time.Sleep(10 * beat)
		old.expect(t, "b")
		b.set(func() { b.lose = func(string, string) bool { return true } })
		three.Close(time.Second)
		b.set(func() { b.lose = nil })
		time.Sleep(10 * beat)
		old.expect(t, "gap") // it fell silent
	})
}

func TestChangesCarryAnnouncements(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		p := one.cfg.Bus.(*process)
		a := one.Announce(5, []string{"a", "b"})
		if a == nil || a.Channel != "changes" {
			t.Fatalf("the announcement is %+v", a)
		}
		_ = p.PublishNext(ctx, a.Channel, a.Message)
		a.Sent = true
		one.Announced(a)
		two.expect(t, "a,b")
		one.expect(t, "")
		time.Sleep(5 * beat)
		two.expect(t, "")
		if s := one.State(); s.Sent != 1 {
			t.Errorf("the state is %+v", s)
		}

		if one.Announce(5, nil) != nil || one.Announce(5, make([]string, maxKeys+1)) != nil {
			t.Error("a change may carry no keys, or too many")
		}
		one.cfg.Carries = false
		if one.Announce(5, []string{"a"}) != nil {
			t.Error("a change may carry an announcement for another bus")
		}
		two.Close(time.Second)
		if two.Announce(5, []string{"a"}) != nil {
			t.Error("a change may carry an announcement of a closed Link")
		}
	})
}

func TestNothingIsCarriedBeforeTheServerHasShownTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		b.refuse = errBroken
		one := startNode(t, newProcess(b), "one")
		if one.Announce(5, []string{"a"}) != nil {
			t.Error("a change may carry an announcement")
		}
	})
}

// Ten thousand keys are one call.
func TestManyKeysAreOneCall(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		keys := make([]string, 10_000)
		for i := range keys {
			keys[i] = fmt.Sprint(i)
		}
		b.take()
		_ = one.Tell(5, keys).Wait(ctx)
		if c := b.take(); c.calls != 1 || c.published != 10 {
			t.Errorf("it made %+v", c)
		}
		if got := len(strings.FieldsFunc(two.take(), func(r rune) bool { return r == ',' || r == ' ' })); got != 10_000 {
			t.Errorf("%d keys arrived", got)
		}
	})
}

// A number is left out for messages that were given up.
func TestMessagesThatCloseGivesUpAreAGap(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.noMessages = errBroken })
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		if n := one.Close(time.Second); n != 1 {
			t.Errorf("%d keys were not sent", n)
		}
		time.Sleep(2 * beat)
		two.expect(t, "gap")
	})
}
