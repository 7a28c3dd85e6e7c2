package coherence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// fakeTracker is what a remote that tells of changes does when a test says so.
type fakeTracker struct {
	mu       sync.Mutex
	prefixes []string            // guarded by mu: of the last track
	changed  func(keys []string) // guarded by mu; nil if nobody tracks
	broken   chan error          // guarded by mu
}

func (f *fakeTracker) track(ctx context.Context, prefixes []string, ready func(), changed func(keys []string)) error {
	broken := make(chan error, 1)
	f.mu.Lock()
	f.prefixes, f.changed, f.broken = prefixes, changed, broken
	f.mu.Unlock()
	ready()
	select {
	case err := <-broken:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeTracker) tell(keys ...string) {
	f.mu.Lock()
	changed := f.changed
	f.mu.Unlock()
	changed(keys)
}

func (f *fakeTracker) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken <- err
}

// tracking returns a node that tracks, and what it compares with.
func tracks(t *testing.T, prefixes ...string) (*node, *fakeTracker, *contents) {
	n, f, c := newNode(t, nil, "a"), &fakeTracker{}, &contents{data: make(map[string]string), left: make(map[string]time.Duration)}
	c.n = n
	n.cfg.Track, n.cfg.Prefixes, n.cfg.Compare = f.track, prefixes, c.compare
	n.start()
	n.take()
	return n, f, c
}

// contents is what the remote has.
type contents struct {
	n    *node
	mu   sync.Mutex
	data map[string]string         // guarded by mu
	left map[string]time.Duration  // guarded by mu: remaining lifetimes; zero if a key does not expire
	wait func(ctx context.Context) // guarded by mu: is called first by compare, if it is not nil
}

func (c *contents) put(key, data string) { c.putFor(key, data, 0) }

func (c *contents) putFor(key, data string, left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data[key], c.left[key] = data, left
}

func (c *contents) compare(ctx context.Context, keys []string, own func(string, *record.Got) bool) (foreign []string) {
	c.n.note("compare", keys...)
	c.mu.Lock()
	wait := c.wait
	c.mu.Unlock()
	if wait != nil {
		wait(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		got := &record.Got{Data: []byte(c.data[key]), TTL: c.left[key], Asked: time.Now()}
		if _, ok := c.data[key]; ctx.Err() != nil || !ok || !own(key, got) {
			foreign = append(foreign, key)
		}
	}
	slices.Sort(foreign)
	return foreign
}

func TestForeignChangesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, _ := tracks(t, "a", "b")
		if got := strings.Join(f.prefixes, " "); got != "a b" {
			t.Errorf("it tracks %s", got)
		}
		f.tell("a1", "b1")
		n.wantTaken("drop a1 b1")
		if s := n.State(); s.Linked || !s.Tracking || !s.Ready || s.InDoubt || s.Gaps != 0 {
			t.Errorf("the state is %+v", s)
		}
		if err := n.Tell(ctx, 1, []string{"a1"}); err != nil { // there is no link
			t.Error(err)
		}
		n.TellLater(1, []string{"a1"})
		n.TellFilled(ctx, []string{"a1"})
	})
}

// The remote reports the node's own writes, too.
func TestEchoesAreCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, c := tracks(t)
		writing := n.Writing()
		writing("mine", []byte("1"), 0)
		c.put("mine", "1")
		writing("theirs", []byte("2"), 0)
		c.put("theirs", "another node's")
		writing("gone", []byte("3"), 0)
		f.tell("mine", "theirs", "gone", "foreign")
		got := n.take()
		if !strings.Contains(got, "drop foreign") || !strings.Contains(got, "compare gone mine theirs") || !strings.HasSuffix(got, "drop gone theirs") {
			t.Errorf("it called %s", got)
		}
		// What turned out to be another's write is not taken for an own one again.
		f.tell("theirs", "gone")
		n.wantTaken("drop gone theirs")
		f.tell("mine")
		n.wantTaken("compare mine")
		writing("theirs", []byte("another node's"), 0) // a newer one of ours, with the same bytes
		f.tell("theirs")
		n.wantTaken("compare theirs")
	})
}

// Another node has changed the lifetime of what this node wrote, and nothing else.
func TestAForeignLifetimeIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, c := tracks(t)
		n.Writing()("k", []byte("v"), time.Hour)
		time.Sleep(time.Second)
		c.putFor("k", "v", time.Hour-time.Second)
		f.tell("k")
		n.wantTaken("compare k")
		c.putFor("k", "v", time.Minute)
		f.tell("k")
		n.wantTaken("compare k, drop k")
		f.tell("k") // it is no own one any more
		n.wantTaken("drop k")
	})
}

// Echoes that come during a comparison are compared by the next one, together and each once: the
// first may have read the remote before they were written.
func TestEchoesThatComeDuringAComparisonAreComparedAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, c := tracks(t)
		for _, key := range []string{"a", "b"} {
			n.Writing()(key, []byte("v"), 0)
			c.put(key, "v")
		}
		c.wait = func(context.Context) { time.Sleep(time.Second) }
		f.tell("a")
		time.Sleep(time.Second / 2)
		f.tell("a")
		f.tell("b", "a")
		time.Sleep(3 * time.Second)
		n.wantTaken("compare a, compare a b")
		f.tell("b")
		time.Sleep(time.Second)
		n.wantTaken("compare b")
	})
}

// Without an answer of the remote in time, the entry must go.
func TestAComparisonIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, c := tracks(t)
		n.Writing()("k", []byte("v"), 0)
		c.put("k", "v")
		c.wait = func(ctx context.Context) { <-ctx.Done() }
		begin := time.Now()
		f.tell("k")
		time.Sleep(compareTimeout - 1)
		n.wantTaken("compare k")
		time.Sleep(time.Nanosecond)
		n.wantTaken("drop k")
		if took := time.Since(begin); took != compareTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

// Close ends a comparison, and returns when it has ended.
func TestCloseWaitsForAComparison(t *testing.T) {
	for name, tt := range map[string]struct {
		wait func(ctx context.Context)
		want time.Duration
	}{
		"that ends with its ctx": {func(ctx context.Context) { <-ctx.Done(); time.Sleep(bound / 2) }, bound / 2},
		"that hangs":             {func(context.Context) { time.Sleep(time.Minute) }, bound},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, f, c := tracks(t)
				n.Writing()("k", []byte("v"), 0)
				c.put("k", "v")
				c.wait = tt.wait
				f.tell("k")
				synctest.Wait()
				begin := time.Now()
				n.Close(bound)
				if took := time.Since(begin); took != tt.want {
					t.Errorf("Close took %s, want %s", took, tt.want)
				}
				if tt.want < bound {
					n.wantTaken("compare k, part 100ms, drop k") // nothing comes after Close
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// FLUSHDB and the like.
func TestWhenAllKeysHaveChangedItIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, _ := tracks(t)
		n.keep("k")
		f.tell([]string{}...)
		n.wantTaken("") // no keys are no gap
		n.wantDoubts("")
		f.changed(nil)
		n.wantTaken("part 0s")
		n.wantDoubts("k")
		n.wantGaps(1)
		if s := n.State(); s.Gaps != 1 || s.GapCause != allChanged || !s.Ready || !s.InDoubt {
			t.Errorf("the state is %+v", s)
		}
		if got := n.log(); !strings.Contains(got, allChanged) {
			t.Errorf("it logged %s", got)
		}
	})
}

func TestTrackingThatBreaksPutsEverythingInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, _ := tracks(t)
		n.keep("k")
		f.fail(errBoom)
		n.wantTaken("part " + heartbeat.String())
		n.wantGaps(1)
		n.wantDoubts("k")
		if got := n.log(); got != "warn: cache test: tracking of changes is down: boom" {
			t.Errorf("it logged %s", got)
		}
		time.Sleep(time.Second)
		n.wantTaken("part 0s")
		n.wantDoubts("k")
		if s := n.State(); !s.Ready || s.Gaps != 1 || !errors.Is(s.Err, errBoom) {
			t.Errorf("the state is %+v", s)
		}
		f.tell("k") // the new subscription
		n.wantTaken("drop k")
	})
}

func TestTrackingThatIsNotSupportedIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil, "a")
		n.cfg.Track = func(context.Context, []string, func(), func([]string)) error {
			return fmt.Errorf("%w: CLIENT TRACKING", remote.ErrUnsupported)
		}
		n.start()
		time.Sleep(time.Second) // it tries again, in case that changes, and says it once
		if got := n.log(); !strings.HasPrefix(got, "error: cache test: WithTracking cannot work here: remote: not supported: CLIENT TRACKING") || strings.Count(got, "\n") > 0 {
			t.Errorf("it logged %s", got)
		}
		n.wantGaps(0)
	})
}

func TestAKeyThatIsNotCoveredIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _ := tracks(t, "user:", "order:")
		n.keep("user:1")
		n.keep("order:1")
		if got := n.log(); got != "" {
			t.Errorf("it logged %s", got)
		}
		n.keep("basket:" + strings.Repeat("1", 5000))
		got := n.log()
		if !strings.HasPrefix(got, `error: cache test: the local level keeps "basket:111`) || !strings.Contains(got, "add the prefix") {
			t.Errorf("it logged %.300s", got)
		}
		if len(got) > 500 {
			t.Errorf("the line has %d bytes", len(got))
		}
		n.keep("basket:2") // once in a while is enough
		if got := n.log(); got != "" {
			t.Errorf("it logged %s", got)
		}
	})
}

// With a link beside it, the others tell of all changes; without prefixes, the remote does.
func TestCoverageIsCheckedOnlyWhereItMatters(t *testing.T) {
	for name, tt := range map[string]struct {
		linked   bool
		prefixes []string
		checked  bool
	}{
		"tracking of prefixes": {false, []string{"a"}, true},
		"tracking of all keys": {false, nil, false},
		"beside a link":        {true, []string{"a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, remotetest.NewBus(), "a")
				n.cfg.Linked, n.cfg.Track, n.cfg.Prefixes = tt.linked, (&fakeTracker{}).track, tt.prefixes
				n.start()
				n.keep("b")
				if checked := n.log() != ""; checked != tt.checked {
					t.Errorf("it was checked: %t", checked)
				}
			})
		})
	}
}
