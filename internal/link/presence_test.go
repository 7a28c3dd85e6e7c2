package link

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// soon is when the others have noticed that a member died: it is present for missedHeartbeats, and
// they check once a heartbeat.
const soon = (missedHeartbeats + 1) * beat

// startApart starts a node whose changes and messages are two calls.
func startApart(t *testing.T, bus Bus, instance string, heartbeat time.Duration) *recNode {
	n := &recNode{}
	n.Link = Start(Config{
		Bus: bus, Changes: "changes", Signals: "signals", CacheName: "test", SourceID: instance, Instance: instance, Heartbeat: heartbeat,
		Changed: func(keys []string) { n.add(strings.Join(keys, ",")) }, Filled: func([]string) {},
		Down: func() { n.add("down") }, Up: func() { n.add("up") }, Gap: func(string) { n.add("gap") },
		Broken: func(error) {}, Warn: func(format string, v ...any) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.warn = append(n.warn, fmt.Sprintf(format, v...))
		},
	})
	t.Cleanup(func() { n.Close(time.Second) })
	return n
}

// bubbleApart runs test with three nodes in three processes: changes of one and two do not carry their
// messages, those of three do.
func bubbleApart(t *testing.T, test func(t *testing.T, b *fakeBus, one, two, three *recNode)) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		one, two := startApart(t, newProcess(b), "one", beat), startApart(t, newProcess(b), "two", beat)
		three := startNode(t, newProcess(b), "three")
		for _, n := range []*recNode{one, two, three} {
			time.Sleep(10 * beat)
			n.expect(t, "down up")
		}
		test(t, b, one, two, three)
	})
}

// kill ends the process of a node at once.
func (n *recNode) kill() {
	n.cfg.Bus.(*process).killed.Store(true)
	n.Close(time.Second)
	n.take()
}

func TestANodeThatDiesBeforeItsMessageIsAGap(t *testing.T) {
	bubbleApart(t, func(t *testing.T, b *fakeBus, one, two, three *recNode) {
		one.kill()
		time.Sleep(soon)
		two.expect(t, "gap")
		three.expect(t, "gap")
		time.Sleep(100 * beat)
		_ = two.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(100 * beat)
		two.expect(t, "")
		three.expect(t, "a")
	})
}

// The changes of those that are left carry their messages, so they are no members.
func TestADeadMemberIsFoundByNodesThatAreNone(t *testing.T) {
	bubbleApart(t, func(t *testing.T, b *fakeBus, one, two, three *recNode) {
		two.Close(time.Second)
		one.kill()
		time.Sleep(missedHeartbeats*beat + (countRounds+1)*beat)
		three.expect(t, "gap")
		time.Sleep(100 * beat)
		three.expect(t, "")
	})
}

func TestANodeThatClosesIsNoGap(t *testing.T) {
	bubbleApart(t, func(t *testing.T, b *fakeBus, one, two, three *recNode) {
		twin := startApart(t, one.cfg.Bus, "twin", beat) // of one process, on one channel
		time.Sleep(5 * beat)
		b.set(func() { b.delay = beat / 10 })
		_ = one.Tell(5, []string{"a"})
		if n := one.Close(time.Second); n > 0 {
			t.Errorf("%d keys were not sent", n)
		}
		time.Sleep(3 * soon)
		_ = twin.Tell(5, []string{"b"})
		twin.Close(time.Second)
		time.Sleep(3 * soon)
		two.expect(t, "a b")
		three.expect(t, "a b")
		two.Close(time.Second)
		time.Sleep(3 * soon)
		three.expect(t, "")
		if len(b.members) > 0 {
			t.Errorf("there are still the members %v", b.members)
		}
	})
}

func TestANodeThatClosesWithUnsentKeysIsAGap(t *testing.T) {
	bubbleApart(t, func(t *testing.T, b *fakeBus, one, two, three *recNode) {
		twin := startApart(t, one.cfg.Bus, "twin", beat) // it goes on
		time.Sleep(5 * beat)
		p := one.cfg.Bus.(*process)
		p.killed.Store(true)
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		if n := one.Close(beat / 2); n == 0 {
			t.Error("the keys were sent")
		}
		p.killed.Store(false)
		time.Sleep(3 * soon)
		two.expect(t, "gap")
		three.expect(t, "gap")
		if got := twin.take(); !strings.HasSuffix(got, "gap") {
			t.Errorf("another Link of the process got %q", got)
		}
	})
}

func TestMembersWithDifferentHeartbeatsAreNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		b.delay = 5 * time.Millisecond
		var nodes []*recNode
		for i, heartbeat := range []time.Duration{50 * time.Millisecond, 70 * time.Millisecond, 500 * time.Millisecond, time.Second, 20 * time.Second} {
			nodes = append(nodes, startApart(t, newProcess(b), fmt.Sprint(i), heartbeat))
		}
		p := nodes[4].cfg.Bus
		for range 5 { // a Link with a short heartbeat shares the hub of one with a long one for a while
			time.Sleep(time.Minute)
			guest := startApart(t, p, "guest", 60*time.Millisecond)
			time.Sleep(time.Minute)
			guest.Close(time.Second)
		}
		for _, n := range nodes {
			n.expect(t, "down up")
		}
		nodes[4].kill()
		time.Sleep((missedHeartbeats + 1) * 20 * time.Second)
		nodes[0].expect(t, "gap")
	})
}

// A process that stood still, and a node that could not renew itself, is one gap for the others.
func TestAMemberThatIsLateIsOneGap(t *testing.T) {
	bubbleApart(t, func(t *testing.T, b *fakeBus, one, two, three *recNode) {
		p := one.cfg.Bus.(*process)
		p.killed.Store(true)
		time.Sleep(2 * soon)
		p.killed.Store(false)
		time.Sleep(100 * beat)
		two.expect(t, "gap")
		three.expect(t, "gap")
		one.take()
		one.kill()
		time.Sleep(soon)
		two.expect(t, "gap")
	})
}

// The server forgets the members, for example because it evicts them.
func TestMembersThatWereLostAreAGap(t *testing.T) {
	bubbleApart(t, func(t *testing.T, b *fakeBus, one, two, three *recNode) {
		b.set(func() { clear(b.members) })
		one.kill()
		time.Sleep(2*beat + beat/10)
		three.expect(t, "gap")
		time.Sleep(100 * beat)
		two.expect(t, "gap")
		three.expect(t, "")
	})
}

// A node that cannot subscribe can change keys, and publish messages.
func TestANodeThatHearsNothingIsAMember(t *testing.T) {
	bubbleApart(t, func(t *testing.T, b *fakeBus, one, two, three *recNode) {
		p := newProcess(b)
		p.deaf.Store(true)
		four := startApart(t, p, "four", beat)
		one.cfg.Bus.(*process).deaf.Store(true)
		b.set(func() {
			for s := range b.subs {
				if s.owner == one.cfg.Bus {
					s.broken <- errBroken
				}
			}
		})
		time.Sleep(100 * beat)
		one.expect(t, "down")
		two.expect(t, "")
		three.expect(t, "")
		for _, n := range []*recNode{four, one} {
			n.kill()
			time.Sleep(soon)
			two.expect(t, "gap")
			three.expect(t, "gap")
			time.Sleep(50 * beat)
		}
	})
}

// A node is a member before it says that it is ready.
func TestANodeIsAMemberBeforeItIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		one := startApart(t, newProcess(b), "one", beat)
		one.WaitReady(time.Second)
		b.set(func() {
			if !one.Healthy() || b.members[fakeMember{"changes", "one"}].IsZero() {
				t.Errorf("the state is %+v, the members are %v", one.State(), b.members)
			}
		})
	})
}

// A node whose changes carry their messages pays for members only with its first message that no
// change has carried, and otherwise for a look now and then.
func TestWhoIsAMember(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.take()
		time.Sleep(80 * beat)
		if c := b.take(); len(b.members) > 0 || c.attended < 18 || c.attended > 22 || c.checks < 155 || c.checks > 165 {
			t.Errorf("in 80 intervals, two nodes did %+v, and the members are %v", c, b.members)
		}
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(80 * beat)
		if c := b.take(); len(b.members) != 1 || c.attended < 85 || c.attended > 95 || c.checks < 155 || c.checks > 165 {
			t.Errorf("in 80 intervals, two nodes did %+v, and the members are %v", c, b.members)
		}
		one.kill()
		time.Sleep(missedHeartbeats*beat + (countRounds+1)*beat)
		two.expect(t, "a gap")
	})
}

func TestAServerThatAllowsNoMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		b.noPresence = fmt.Errorf("%w: the ACL", remote.ErrUnsupported)
		one, two := startApart(t, newProcess(b), "one", beat), startApart(t, newProcess(b), "two", beat)
		time.Sleep(20 * beat)
		one.expect(t, "down up")
		two.expect(t, "down up")
		if len(one.warn) != 1 || !strings.Contains(one.warn[0], "the ACL") {
			t.Errorf("the warnings are %q", one.warn)
		}
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		two.expect(t, "a")
		b.set(func() { b.lose = func(string, string) bool { return true } })
		one.kill()
		b.set(func() { b.lose = nil })
		time.Sleep(soon + 2*beat)
		two.expect(t, "gap") // by its heartbeats
	})
}

// Nodes that need not be members do not need the right either.
func TestTheRightToMembersIsNotNeededByAll(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		b.set(func() { b.noPresence = fmt.Errorf("%w: the ACL", remote.ErrUnsupported) })
		b.take()
		time.Sleep(80 * beat)
		if c := b.take(); c.signals > 0 || c.attended > 2 || len(one.warn) > 0 {
			t.Errorf("it did %+v, and the warnings are %q", c, one.warn)
		}
		one.expect(t, "")
		if one.Announce(5, []string{"a"}) == nil {
			t.Error("changes do not carry their messages")
		}
	})
}

// withoutMembers is a Sequencer without a Presence.
type withoutMembers struct {
	Bus
	remote.Sequencer
}

func (w withoutMembers) SequencerOf() remote.Sequencer { return w }

func TestABusWithoutMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		p, q := newProcess(b), newProcess(b)
		one, two := startApart(t, withoutMembers{p, p}, "one", beat), startApart(t, withoutMembers{q, q}, "two", beat)
		time.Sleep(20 * beat)
		_ = one.Tell(5, []string{"a"}).Wait(ctx)
		two.expect(t, "down up a")
		one.Close(time.Second)
		time.Sleep(20 * beat)
		two.expect(t, "")
	})
}

// The numbers that are left out for the dead say nothing about the subscription.
func TestNodesThatDieDoNotEndASubscription(t *testing.T) {
	bubbleApart(t, func(t *testing.T, b *fakeBus, one, two, three *recNode) {
		one.kill()
		time.Sleep(50 * beat)
		two.kill()
		time.Sleep(50 * beat)
		three.expect(t, "gap gap")
	})
}

// A fleet that is idle makes one call for each node and heartbeat.
func TestAnIdleFleetOfMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 20
		b := newFakeBus()
		var nodes []*recNode
		for i := range many {
			nodes = append(nodes, startApart(t, newProcess(b), fmt.Sprint(i), beat))
		}
		time.Sleep(20 * beat)
		b.take()
		time.Sleep(20 * beat)
		if c := b.take(); c.attended < 19*many || c.attended > 21*many || c.checks != c.attended || c.signals+c.published > 0 {
			t.Errorf("in 20 intervals, %d nodes did %+v", many, c)
		}
		for _, n := range nodes {
			n.expect(t, "down up")
		}
	})
}
