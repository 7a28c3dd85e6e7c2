package link

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// A Link with a shorter heartbeat joins those of a client. The others have no gap.
func TestALinkWithAShorterHeartbeatJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(newFakeBus())
		start := func(name string, heartbeat time.Duration) *recNode {
			n := &recNode{}
			n.Link = Start(Config{
				Bus: p, Changes: name, Signals: name + "s", CacheName: "test", SourceID: name, Instance: name, Heartbeat: heartbeat,
				Changed: func([]string) {}, Filled: func([]string) {},
				Down: func() { n.add("down") }, Up: func() { n.add("up") }, Gap: func(string) { n.add("gap") },
				Broken: func(error) {}, Warn: func(string, ...any) {},
			})
			t.Cleanup(func() { n.Close(time.Second) })
			return n
		}
		slow := start("slow", 2*time.Second)
		time.Sleep(5900 * time.Millisecond)
		slow.take()
		start("quick", 100*time.Millisecond)
		time.Sleep(5 * time.Second)
		slow.expect(t, "")
	})
}

// hookedProcess is a process that calls a function before it reads tokens.
type hookedProcess struct {
	*process
	hook atomic.Pointer[func()]
}

func (h *hookedProcess) SequencerOf() remote.Sequencer { return h }

func (h *hookedProcess) Tokens(ctx context.Context, channels ...string) ([]string, error) {
	if hook := h.hook.Swap(nil); hook != nil {
		(*hook)()
	}
	return h.process.Tokens(ctx, channels...)
}

// The last Link of a channel leaves while its token is being checked. The messages of the channel do
// not arrive any more, which is no gap for the Links of other channels.
func TestALinkThatLeavesDuringACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBus()
		p, q := &hookedProcess{process: newProcess(b)}, newProcess(b)
		stays, other := startNodeOn(t, p, "A", "As", "stays"), startNodeOn(t, q, "C", "Cs", "other")
		time.Sleep(10 * beat)
		stays.take()
		for i := range 3 {
			leaves := startNodeOn(t, p, "C", "Cs", fmt.Sprint("leaves ", i))
			time.Sleep(beat)
			hook := func() {
				leaves.Close(time.Second)
				_ = other.Tell(5, []string{"x"}).Wait(ctx)
			}
			p.hook.Store(&hook)
			time.Sleep(beat)
		}
		time.Sleep(20 * beat)
		stays.expect(t, "")
	})
}
