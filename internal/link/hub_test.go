package link

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func (b *fakeBus) subscriptions() (n int, channels int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		channels += len(s.channels)
	}
	return len(b.subs), channels
}

func TestLinksOfAProcessShareASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		p, q := newProcess(b), newProcess(b)
		other := startNode(t, q, "other")
		var nodes []*recNode
		for i := range 20 {
			nodes = append(nodes, startNode(t, p, fmt.Sprint("node", i)))
		}
		for i := range 3 {
			nodes = append(nodes, startNodeOn(t, p, fmt.Sprint("changes", i), fmt.Sprint("signals", i), fmt.Sprint("own", i)))
		}
		time.Sleep(10 * beat)
		if n, channels := b.subscriptions(); n != 2 || channels != 2+8 {
			t.Errorf("there are %d subscriptions of %d channels", n, channels)
		}
		b.take()
		time.Sleep(10 * beat)
		if c := b.take(); c.checks < 18 || c.checks > 22 || c.asked < 45 || c.asked > 55 || c.signals != 0 {
			t.Errorf("in 10 intervals, two processes with 1 and 4 channels did %+v", c)
		}
		for _, n := range nodes {
			n.expect(t, "down up")
		}
		if s := nodes[0].State(); s.Nodes != 20 {
			t.Errorf("the state is %+v", s)
		}
		if s := nodes[21].State(); s.Nodes != 0 {
			t.Errorf("the state is %+v", s)
		}

		_ = nodes[3].Tell(5, []string{"a"}).Wait(ctx)
		_ = nodes[21].Tell(5, []string{"b"}).Wait(ctx)
		_ = other.Tell(5, []string{"c"}).Wait(ctx)
		_ = nodes[4].TellFilled(ctx, []string{"d"})
		for i, n := range nodes {
			want := "a c filled:d"
			switch {
			case i == 3:
				want = "c filled:d"
			case i == 4:
				want = "a c"
			case i >= 20:
				want = ""
			}
			n.expect(t, want)
		}

		// A gap on one channel is none on the others.
		loseOne(b)
		_ = other.Tell(5, []string{"e"}).Wait(ctx)
		time.Sleep(2 * beat)
		for _, n := range nodes[:20] {
			n.expect(t, "gap")
		}
		nodes[21].expect(t, "")

		// A lost connection concerns all of them.
		b.cut()
		time.Sleep(5 * beat)
		for _, n := range nodes {
			n.expect(t, "down up")
		}

		for _, n := range nodes[:20] {
			n.Close(time.Second)
			n.expect(t, "down")
		}
		time.Sleep(2 * beat)
		if n, channels := b.subscriptions(); n != 2 || channels != 2+6 {
			t.Errorf("then there are %d subscriptions of %d channels", n, channels)
		}
		nodes[22].expect(t, "")
		for _, n := range nodes[20:] {
			n.Close(time.Second)
		}
		if n, _ := b.subscriptions(); n != 1 {
			t.Errorf("in the end there are %d subscriptions", n)
		}
		// Nothing is left over, and a new Link begins anew.
		again := startNode(t, p, "again")
		time.Sleep(beat)
		again.expect(t, "down up")
	})
}

func TestALinkThatJoinsIsReadyAtOnce(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		began := time.Now()
		three := startNode(t, one.cfg.Bus, "three")
		three.WaitReady(time.Second)
		four := startNodeOn(t, one.cfg.Bus, "other", "other signals", "four")
		four.WaitReady(time.Second)
		if !three.Healthy() || !four.Healthy() || time.Since(began) != 0 {
			t.Errorf("after %s, the states are %+v and %+v", time.Since(began), three.State(), four.State())
		}
		_ = two.Tell(5, []string{"a"}).Wait(ctx)
		three.expect(t, "down up a")
		one.expect(t, "a")
	})
}

// A channel is left and joined again while the hub runs on.
func TestALinkOnAChannelThatWasLeft(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		for range 3 {
			for _, pause := range []time.Duration{0, beat / 2} {
				n := startNodeOn(t, one.cfg.Bus, "other", "other signals", "three")
				time.Sleep(pause)
				n.Close(time.Second)
				time.Sleep(pause)
			}
		}
		n := startNodeOn(t, one.cfg.Bus, "other", "other signals", "three")
		m := startNodeOn(t, two.cfg.Bus, "other", "other signals", "four")
		n.WaitReady(time.Second)
		m.WaitReady(time.Second)
		_ = m.Tell(5, []string{"a"}).Wait(ctx)
		time.Sleep(10 * beat)
		n.expect(t, "down up a")
		one.expect(t, "")
	})
}

// Links with different heartbeats share the shortest one.
func TestTheShortestHeartbeatCounts(t *testing.T) {
	bubbleOfTokens(t, func(t *testing.T, b *fakeBus, one, two *recNode) {
		slow := one.cfg
		slow.Bus, slow.Instance, slow.Heartbeat = two.cfg.Bus, "slow", 100*beat
		l := Start(slow)
		defer l.Close(time.Second)
		b.take()
		time.Sleep(10 * beat)
		if c := b.take(); c.checks < 18 || c.checks > 22 {
			t.Errorf("in 10 intervals, two processes did %+v", c)
		}
	})
}
