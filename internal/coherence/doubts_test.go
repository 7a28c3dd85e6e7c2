package coherence

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// One lost message puts in doubt what was stored before it, and keeps readers from joining the
// loads that may have read the old value.
func TestAGapPutsOlderEntriesInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := remotetest.NewBus()
		a, b := linked(t, bus, "a"), linked(t, bus, "b")
		b.keep("before")
		bus.Lose(func(channel string, _ []byte) bool { return channel == "changes" })
		if err := a.Tell(ctx, 1, []string{"before"}); err != nil {
			t.Fatal(err)
		}
		bus.Lose(nil)
		b.wantDoubts("")
		time.Sleep(blind)
		b.wantTaken("part 0s")
		b.wantGaps(1)
		if got := b.log(); !strings.HasPrefix(got, "warn: cache test: changes on other nodes may have been missed: 1 messages are missing") {
			t.Errorf("it logged %s", got)
		}
		b.keep("after")
		b.wantDoubts("before")
		if s := b.State(); !s.InDoubt || !s.Ready || s.Gaps != 1 {
			t.Errorf("the state is %+v", s)
		}
		a.wantGaps(1) // it cannot know that the message was its own
	})
}

// It may have named any key.
func TestAMessageThatIsNotUnderstoodIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := remotetest.NewBus()
		n := linked(t, bus, "a")
		n.keep("k")
		if err := bus.Publish(ctx, "changes", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(blind)
		n.wantDoubts("k")
		n.wantGaps(1)
		if got := n.log(); !strings.HasPrefix(got, `warn: cache test: a message on the channel of the other nodes was not understood: "hello"`) {
			t.Errorf("it logged %s", got)
		}
	})
}

// While the link is down, everything is in doubt, and loads are joined for a heartbeat. When it
// is up again, what was stored before is in doubt.
func TestALinkThatIsDownPutsEverythingInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := remotetest.NewBus()
		n := linked(t, bus, "a")
		n.keep("before")
		bus.Fail(errBoom)
		n.wantTaken("part " + heartbeat.String())
		n.keep("during")
		n.wantDoubts("before during")
		n.wantGaps(1)
		if got := n.log(); got != "warn: cache test: the link to the other nodes is down: boom" {
			t.Errorf("it logged %s", got)
		}
		bus.Fail(nil)
		time.Sleep(time.Second)
		n.wantTaken("part 0s")
		n.keep("after")
		n.wantDoubts("before during")
		n.wantGaps(1)
		bus.Fail(errBoom)
		synctest.Wait()
		n.wantGaps(2)
	})
}

// Two sources: loads are joined freely again only when both hear.
func TestLoadsAreJoinedFreelyOnlyIfEverySourceHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, f := remotetest.NewBus(), &fakeTracker{}
		n := newNode(t, bus, "a")
		n.cfg.Track = f.track
		n.start()
		n.wantTaken("part 100ms, part 100ms, part 100ms, part 0s")
		time.Sleep(time.Second)
		bus.Fail(errBoom)
		n.wantTaken("part 100ms")
		f.fail(errBoom)
		n.wantTaken("part 100ms")
		time.Sleep(time.Second) // tracking is up again
		n.wantTaken("part 100ms")
		bus.Fail(nil)
		time.Sleep(5 * time.Second)
		n.wantTaken("part 0s")
	})
}

// A new cache is in doubt only if something can be stored already.
func TestAtTheStart(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(n *node)
		late    bool // the link comes up after Start has returned
		inDoubt bool
	}{
		"an empty store":       {func(*node) {}, false, false},
		"a store with entries": {func(n *node) { n.store.Set("old", []byte("v")); time.Sleep(time.Second) }, false, true},
		"a store that does not tell": {func(n *node) {
			n.cfg.Local = level.NewLocal(undated{n.store})
			n.local = n.cfg.Local
		}, false, true},
		"a store that does not know":  {func(n *node) { n.store.hidden = true }, false, true},
		"a link that is late":         {func(*node) {}, true, true},
		"tracking beside the link":    {func(n *node) { n.cfg.Track = (&fakeTracker{}).track }, false, false},
		"tracking beside a late link": {func(n *node) { n.cfg.Track = (&fakeTracker{}).track }, true, true},
		"tracking alone, empty store": {func(n *node) { n.cfg.Linked = false; n.cfg.Track = (&fakeTracker{}).track }, false, false},
		"tracking alone, with entries": {func(n *node) {
			n.cfg.Linked = false
			n.cfg.Track = (&fakeTracker{}).track
			n.store.Set("old", nil)
			time.Sleep(time.Second)
		}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := remotetest.NewBus()
				n := newNode(t, bus, "a")
				tt.prepare(n)
				if tt.late {
					bus.Fail(errBoom)
				}
				n.start()
				bus.Fail(nil)
				time.Sleep(time.Second)
				if s := n.State(); s.InDoubt != tt.inDoubt || !s.Ready {
					t.Errorf("the state is %+v", s)
				}
				n.wantGaps(0)
			})
		})
	}
}

// When the store has nothing any more from before the gap, nothing is in doubt. What was being
// stored at the gap gets a little longer.
func TestDoubtsEndWhenTheOlderEntriesAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := remotetest.NewBus()
		n := linked(t, bus, "a")
		n.keep("k")
		gap := func() time.Time {
			bus.Fail(errBoom)
			synctest.Wait()
			bus.Fail(nil)
			time.Sleep(time.Second)
			if !n.State().InDoubt {
				t.Fatal("nothing is in doubt after a gap")
			}
			return n.local.Doubts.Now().Began
		}
		came := gap()
		n.store.setOldest(came.Add(doubtCheck)) // it may still be the entry of a slow caller
		time.Sleep(3 * doubtCheck)
		n.wantDoubts("k")
		n.store.setOldest(came.Add(doubtCheck + 1))
		time.Sleep(doubtCheck)
		if n.State().InDoubt {
			t.Error("it is still in doubt")
		}
		n.wantDoubts("")

		// And again, with another gap before the doubts of the first one have ended.
		first := gap()
		time.Sleep(doubtCheck / 2)
		second := gap()
		n.store.setOldest(first.Add(doubtCheck + 1))
		time.Sleep(3 * doubtCheck)
		if !second.After(first) || !n.State().InDoubt {
			t.Error("the doubts of the second gap ended with those of the first")
		}
		n.store.setOldest(second.Add(doubtCheck + 1))
		time.Sleep(doubtCheck)
		if n.State().InDoubt {
			t.Error("it is still in doubt after the second gap")
		}
	})
}

func TestDoubtsDoNotEndWhileALinkIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := remotetest.NewBus()
		n := linked(t, bus, "a")
		n.keep("k")
		bus.Fail(errBoom)
		time.Sleep(time.Hour)
		n.store.setOldest(time.Now())
		time.Sleep(3 * doubtCheck)
		n.wantDoubts("k")
		bus.Fail(nil)
		time.Sleep(3 * time.Second)
		n.store.setOldest(time.Now().Add(time.Hour))
		time.Sleep(2 * doubtCheck)
		n.wantDoubts("")
	})
}

// A store that cannot tell is in doubt for ever, key by key.
func TestDoubtsOfAStoreThatDoesNotTellDoNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, remotetest.NewBus(), "a")
		n.cfg.Local = level.NewLocal(undated{n.store})
		n.local = n.cfg.Local
		n.store.Set("k", nil)
		n.start()
		time.Sleep(time.Hour)
		n.wantDoubts("k")
		n.keep("k")
		n.wantDoubts("")
		if !n.State().InDoubt {
			t.Error("other keys are not in doubt")
		}
	})
}

// Entries that are stored between the moment at which the store is asked, and the end of the Down,
// are in doubt: Start may return in between, and its caller read.
func TestALinkThatComesUpAsStartReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, remotetest.NewBus(), "a")
		n.Sync = New(n.cfg)
		src := n.source()
		src.down()
		n.given = true // as Start does
		n.keep("k")
		n.store.setOldest(time.Now())
		src.up()
		n.wantDoubts("k")
	})
}
