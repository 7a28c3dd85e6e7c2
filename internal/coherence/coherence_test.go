package coherence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestWithNothingOnThereIsNoSync(t *testing.T) {
	n := newNode(t, nil, "a")
	s := New(n.cfg)
	if s != nil || n.local.Doubts != nil || n.local.Kept != nil {
		t.Errorf("New returned %v, and set %v", s, n.local.Doubts)
	}
	s.Start()
	if err := s.Tell(ctx, 1, []string{"k"}); err != nil {
		t.Error(err)
	}
	s.TellLater(1, []string{"k"})
	s.TellFilled(ctx, []string{"k"})
	if s.Writing() != nil {
		t.Error("it wants to hear of writes")
	}
	if st := s.State(); st != (State{}) {
		t.Errorf("its state is %+v", st)
	}
	s.Close(bound)
	s.Close(bound)
	n.wantGaps(0)
}

func TestTheOthersHearOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := remotetest.NewBus()
		a, b, c := linked(t, bus, "a"), linked(t, bus, "b"), linked(t, bus, "c")
		if err := a.Tell(ctx, 5, []string{"x", "y"}); err != nil {
			t.Fatal(err)
		}
		for _, other := range []*node{b, c} {
			other.wantTaken("drop x y")
		}
		b.TellLater(1, []string{"z"})
		a.wantTaken("drop z")
		c.wantTaken("drop z")
		a.TellFilled(ctx, []string{"w", "v"})
		b.wantTaken("wake v w")
		c.wantTaken("wake v w")
		a.wantTaken("") // nobody hears of what it tells itself

		published := bus.Published("changes")
		if err := a.Tell(ctx, 1, nil); err != nil {
			t.Error(err)
		}
		a.TellLater(1, nil)
		if synctest.Wait(); bus.Published("changes") != published {
			t.Error("it told of no keys")
		}
		if s := a.State(); !s.Linked || s.Tracking || !s.Ready || s.InDoubt || s.Sent != 1 || s.Received != 1 || s.Nodes != 2 || s.Gaps != 0 || s.Err != nil {
			t.Errorf("the state is %+v", s)
		}
		a.wantGaps(0)
		if got := a.log() + b.log() + c.log(); got != "" {
			t.Errorf("it logged %s", got)
		}
		if a.Writing() != nil || a.local.Kept != nil {
			t.Error("without tracking it wants to hear of writes, or of what is kept")
		}
	})
}

// A change is over when the bus has taken the message.
func TestTellWaitsAndTellLaterDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowBus{Bus: remotetest.NewBus()}
		a := newNode(t, slow.Bus, "a")
		a.cfg.Bus = slow
		a.start()
		slow.delay.Store(int64(time.Second))
		begin := time.Now()
		a.TellLater(1, []string{"k"})
		if took := time.Since(begin); took != 0 {
			t.Errorf("TellLater took %s", took)
		}
		time.Sleep(3 * time.Second)
		begin = time.Now()
		if err := a.Tell(ctx, 1, []string{"k"}); err != nil || time.Since(begin) != time.Second {
			t.Errorf("Tell took %s: %v", time.Since(begin), err)
		}
		bounded, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		begin = time.Now()
		if err := a.Tell(bounded, 1, []string{"k"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 300*time.Millisecond {
			t.Errorf("with a ctx that ends, Tell took %s: %v", time.Since(begin), err)
		}
		slow.deaf.Store(true)
		slow.delay.Store(int64(time.Minute))
		time.Sleep(2 * time.Second)
		begin = time.Now()
		if err := a.Tell(ctx, 1, []string{"k"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != tellTimeout {
			t.Errorf("over a bus that hangs, Tell took %s: %v", time.Since(begin), err)
		}
		slow.delay.Store(0)
		time.Sleep(2 * time.Minute)
	})
}

func TestTellReturnsTheErrorOfTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &refusingBus{Bus: remotetest.NewBus()}
		b := linked(t, bus.Bus, "b")
		a := newNode(t, bus.Bus, "a")
		a.cfg.Bus = bus
		a.start()
		bus.refuses.Store(true)
		if err := a.Tell(ctx, 1, []string{"k"}); !errors.Is(err, errBoom) {
			t.Errorf("Tell: %v", err)
		}
		if err := a.Tell(ctx, 1, nil); err != nil {
			t.Errorf("there was nothing to tell: %v", err)
		}
		a.TellFilled(ctx, []string{"w"})
		if s := a.State(); s.Waiting > 1 || s.Sent != 0 {
			t.Errorf("the state is %+v", s)
		}
		bus.refuses.Store(false)
		time.Sleep(time.Second)
		b.wantTaken("drop k") // the link has tried again, but not to tell what was filled
		if got := a.log(); got != "" {
			t.Errorf("it logged %s", got)
		}
	})
}

// refusingBus is a Bus that publishes nothing while a test says so.
type refusingBus struct {
	*remotetest.Bus
	refuses atomic.Bool
}

func (b *refusingBus) Publish(ctx context.Context, channel string, data []byte) error {
	if b.refuses.Load() {
		return errBoom
	}
	return b.Bus.Publish(ctx, channel, data)
}

func (b *refusingBus) SequencerOf() remote.Sequencer { return b }

func (b *refusingBus) PublishNext(ctx context.Context, channel string, messages ...[]byte) error {
	if b.refuses.Load() {
		return errBoom
	}
	return b.Bus.PublishNext(ctx, channel, messages...)
}

// slowBus is a Bus that takes its time to publish.
type slowBus struct {
	*remotetest.Bus
	delay atomic.Int64
	deaf  atomic.Bool // it does not heed its ctx
}

func (b *slowBus) Publish(ctx context.Context, channel string, data []byte) error {
	if err := b.wait(ctx); err != nil {
		return err
	}
	return b.Bus.Publish(ctx, channel, data)
}

func (b *slowBus) SequencerOf() remote.Sequencer { return b }

func (b *slowBus) PublishNext(ctx context.Context, channel string, messages ...[]byte) error {
	if err := b.wait(ctx); err != nil {
		return err
	}
	return b.Bus.PublishNext(ctx, channel, messages...)
}

func (b *slowBus) wait(ctx context.Context) error {
	if d := time.Duration(b.delay.Load()); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		if b.deaf.Load() {
			ctx = context.Background()
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// A Start that cannot reach the others returns soon: at once if they refuse, after a second if
// they do not answer.
func TestStartWaitsForTheLinkForASecondAtMost(t *testing.T) {
	for name, tt := range map[string]struct {
		subscribe func(ctx context.Context) error
		want      time.Duration
	}{
		"refused":      {func(context.Context) error { return errBoom }, 0},
		"silent":       {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, startTimeout},
		"soon refused": {func(context.Context) error { time.Sleep(startTimeout / 2); return errBoom }, startTimeout / 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, remotetest.NewBus(), "a")
				n.cfg.Bus = &deafBus{n.cfg.Bus, tt.subscribe}
				n.cfg.Track = func(ctx context.Context, _ []string, _ func(), _ func([]string)) error { return tt.subscribe(ctx) }
				begin := time.Now()
				n.start()
				if took := time.Since(begin); took != tt.want {
					t.Errorf("Start took %s, want %s", took, tt.want)
				}
				if s := n.State(); s.Ready || !s.InDoubt || !n.local.Doubts.Deaf() {
					t.Errorf("the state is %+v", s)
				}
				n.wantGaps(0) // it never heard anything
			})
		})
	}
}

// deafBus is a Bus of which a test says what becomes of a subscription.
type deafBus struct {
	remote.Bus
	subscribe func(ctx context.Context) error
}

func (b *deafBus) Subscribe(ctx context.Context, _ []string, _ func(), _ func(string, []byte)) error {
	return b.subscribe(ctx)
}

func TestABusThatIsNotSupportedIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, remotetest.NewBus(), "a")
		n.cfg.Bus = &deafBus{n.cfg.Bus, func(context.Context) error { return fmt.Errorf("%w: no pub/sub", remote.ErrUnsupported) }}
		n.start()
		if got := n.log(); !strings.HasPrefix(got, "error: cache test: WithSyncLocal(true) cannot work here: remote: not supported: no pub/sub") {
			t.Errorf("it logged %s", got)
		}
		if s := n.State(); !errors.Is(s.Err, remote.ErrUnsupported) {
			t.Errorf("the state is %+v", s)
		}
	})
}

// After Close, nobody tells this node of changes.
func TestCloseLeavesTheLocalLevelInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := remotetest.NewBus()
		a, b := linked(t, bus, "a"), linked(t, bus, "b")
		a.keep("k")
		a.wantDoubts("")
		a.Close(bound)
		a.wantDoubts("k")
		a.wantGaps(0) // it knows why
		if s := a.State(); s.Ready || !s.InDoubt || s.Gaps != 0 || bus.Subscribers("changes") != 1 {
			t.Errorf("the state is %+v", s)
		}
		if err := a.Tell(ctx, 1, []string{"k"}); err == nil {
			t.Error("Tell told the others after Close")
		}
		a.Close(bound)
		time.Sleep(blind)
		b.wantTaken("")
		b.wantGaps(0) // it was told that the other leaves
		if got := a.log() + b.log(); got != "" {
			t.Errorf("it logged %s", got)
		}
	})
}

func TestCloseSendsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowBus{Bus: remotetest.NewBus()}
		b := linked(t, slow.Bus, "b")
		a := newNode(t, slow.Bus, "a")
		a.cfg.Bus = slow
		a.start()
		slow.delay.Store(int64(bound / 4))
		a.TellLater(1, []string{"k"})
		a.Close(bound)
		if got := b.take(); !strings.HasPrefix(got, "drop k") {
			t.Errorf("the other heard %q", got)
		}
	})
}

func TestCloseIsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		heeds bool
		limit time.Duration
		both  bool
	}{
		"a bus that heeds its ctx":        {true, bound, false},
		"a bus that does not":             {false, 3 * bound, false},
		"tracking that hangs, too":        {false, 3 * bound, true},
		"tracking that hangs, a good bus": {true, bound, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := &slowBus{Bus: remotetest.NewBus()}
				slow.deaf.Store(!tt.heeds)
				n := newNode(t, slow.Bus, "a")
				n.cfg.Bus = slow
				hanging := make(chan struct{})
				if tt.both {
					n.cfg.Track = func(_ context.Context, _ []string, ready func(), _ func([]string)) error {
						ready()
						<-hanging
						return nil
					}
				}
				n.start()
				slow.delay.Store(int64(time.Hour))
				n.TellLater(1, []string{"k"})
				begin := time.Now()
				n.Close(bound)
				if took := time.Since(begin); took > tt.limit {
					t.Errorf("Close took %s, want %s at most", took, tt.limit)
				}
				if !n.local.Doubts.Deaf() {
					t.Error("the local level is not in doubt")
				}
				if got := n.log(); !strings.Contains(got, "warn: cache test: closed, but other nodes could not be told of 1 changed keys") {
					t.Errorf("it logged %q", got)
				}
				close(hanging)
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestSignalsAreInTheSlotOfTheChanges(t *testing.T) {
	for channel, want := range map[string]string{
		"jetcache:sync:users": "{jetcache:sync:users}#signals",
		"a{tag}b":             "a{tag}b#signals",
		"odd}":                "odd}#signals",
	} {
		if got := signalsOf(channel); got != want {
			t.Errorf("the signals of %s are on %s, want %s", channel, got, want)
		}
	}
}

// The state of a Sync with both is that of the worse, and has the gaps of both.
func TestTheStateOfLinkAndTrackingTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, f := remotetest.NewBus(), &fakeTracker{}
		n := newNode(t, bus, "a")
		n.cfg.Track = f.track
		n.start()
		if s := n.State(); !s.Linked || !s.Tracking || !s.Ready || s.InDoubt {
			t.Errorf("at first: %+v", s)
		}
		time.Sleep(time.Second)
		bus.Fail(errBoom)
		synctest.Wait()
		down := time.Now()
		if s := n.State(); s.Ready || !s.InDoubt || s.Gaps != 1 || !errors.Is(s.Err, errBoom) || !s.Since.Equal(down) || s.GapCause != "boom" {
			t.Errorf("with the link down: %+v", s)
		}
		bus.Fail(nil)
		time.Sleep(5 * time.Second)
		errTrack := errors.New("tracking broke")
		f.fail(errTrack)
		synctest.Wait()
		if s := n.State(); s.Ready || s.Gaps != 2 || !errors.Is(s.Err, errBoom) || !errors.Is(s.Err, errTrack) || s.GapCause != "tracking broke" {
			t.Errorf("with tracking down: %+v", s)
		}
		time.Sleep(5 * time.Second)
		if s := n.State(); !s.Ready || !s.InDoubt {
			t.Errorf("with both up again: %+v", s)
		}
		n.wantGaps(2)
	})
}
