package repair_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/internal/repair"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// The repairs of a cache without fences, whose calls may be left behind.

const (
	timeout = 100 * time.Millisecond
	// lateness is how long a call of a lateStore takes to take effect.
	lateness = 20 * time.Second
)

// lateStore is a Memory in which some writes take effect late, whatever their ctx says.
type lateStore struct {
	*remotetest.Memory
	late atomic.Bool
}

func (*lateStore) HeedsContext() bool { return false }

func (s *lateStore) SetEX(ctx context.Context, key string, value any, expire time.Duration) error {
	if s.late.Load() {
		time.Sleep(lateness)
		ctx = context.Background()
	}
	return s.Memory.SetEX(ctx, key, value, expire)
}

// newOff returns a Policy without fences over a store.
func newOff(t testing.TB, s *lateStore, g level.Guards) (*repair.Policy, *level.Remote, *notes) {
	n := &notes{}
	o := observe.New("c", n, n)
	r := level.NewRemote(s, level.Lifetime{}, o)
	r.Guard(g)
	p := repair.New(fence.Off{Remote: r}, r, o, n.tell)
	t.Cleanup(func() { r.Wait(time.Hour); p.Stop(0) })
	return p, r, n
}

func TestWithoutFencesAKeyWhoseChangeFailsIsRemovedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lateStore{Memory: remotetest.NewMemory()}
		s.Put("k", "old")
		p, _, n := newOff(t, s, level.Guards{})
		s.SetFault(broken())
		if err := p.Change(ctx, writesOf("new", "k")); !errors.Is(err, errBoom) {
			t.Fatal(err)
		}
		if ok, err := trusted(p, "k"); ok || !errors.Is(err, fence.ErrUncertain) || !errors.Is(err, errBoom) {
			t.Errorf("the remote is trusted: %v, %v", ok, err)
		}
		fill := writesOf("v", "k", "other")
		s.SetFault(broken("del"))
		if err := p.Fill(ctx, fill); !errors.Is(err, fence.ErrUncertain) || inRemote(s.Memory, "k", "other") != "old v" {
			t.Errorf("%s, %v, the remote has %q", results(fill), err, inRemote(s.Memory, "k", "other"))
		}
		s.SetFault(nil)
		pass(5 * time.Second)
		if ok, _ := trusted(p, "k"); !ok || inRemote(s.Memory, "k") != "-" || n.told() != "k" {
			t.Errorf("trusted: %v, the remote has %q, told of %q", ok, inRemote(s.Memory, "k"), n.told())
		}
	})
}

// A call that was left behind takes effect after all, even after a newer change. Then its key is removed.
func TestACallThatTakesEffectLateIsRepaired(t *testing.T) {
	for name, write := range map[string]func(p *repair.Policy, recs []*record.Record) error{
		"Change": func(p *repair.Policy, recs []*record.Record) error { return p.Change(ctx, recs) },
		"Fill":   func(p *repair.Policy, recs []*record.Record) error { return p.Fill(ctx, recs) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &lateStore{Memory: remotetest.NewMemory()}
			p, _, n := newOff(t, s, level.Guards{Timeout: timeout})
			s.late.Store(true)
			if err := write(p, writesOf("older", "k")); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(name, err)
			}
			s.late.Store(false)
			time.Sleep(time.Second) // the key has been removed
			if err := p.Change(ctx, writesOf("newer", "k")); err != nil {
				t.Fatal(name, err)
			}
			if ok, _ := trusted(p, "k"); ok {
				t.Errorf("%s: the remote is trusted while the older call goes on", name)
			}
			pass(lateness)
			if ok, _ := trusted(p, "k"); ok && inRemote(s.Memory, "k") == "older" {
				t.Errorf("%s: the remote is trusted, and has the older value", name)
			}
			pass(6 * time.Second)
			if ok, _ := trusted(p, "k"); !ok || inRemote(s.Memory, "k") != "-" || n.told() == "" {
				t.Errorf("%s: trusted: %v, the remote has %q, told of %q", name, ok, inRemote(s.Memory, "k"), n.told())
			}
		})
	}
}

func TestStopWaitsForWhatWasLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lateStore{Memory: remotetest.NewMemory()}
		p, r, n := newOff(t, s, level.Guards{Timeout: timeout})
		s.late.Store(true)
		_ = p.Change(ctx, writesOf("older", "k"))
		began := time.Now()
		if !r.Wait(time.Hour) || time.Since(began) < lateness-timeout {
			t.Errorf("it has waited %s", time.Since(began))
		}
		p.Stop(5 * time.Second)
		if inRemote(s.Memory, "k") != "-" || len(n.errors()) != 0 {
			t.Errorf("the remote has %q, the log has %q", inRemote(s.Memory, "k"), n.errors())
		}
	})
}

func TestWhatABreakerRefusesWaitsAndIsRemovedWhenItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lateStore{Memory: remotetest.NewMemory()}
		p, r, _ := newOff(t, s, level.Guards{Breaker: &level.Breaker{FailureRatio: 0.5, MinCalls: 4, Window: 10 * time.Second, OpenFor: 5 * time.Second}})
		s.Put("a", "old")
		s.Put("b", "old")
		s.SetFault(broken())
		for range 4 {
			_ = p.Change(ctx, writesOf("new", "a"))
		}
		calls := s.Calls("set") + s.Calls("del")
		if err := p.Remove(ctx, recordsOf("b")); !errors.Is(err, level.ErrUnavailable) {
			t.Error(err)
		}
		pass(time.Minute)
		if n := s.Calls("set") + s.Calls("del") - calls; n > 13 { // those of the probes
			t.Errorf("while it is down, it is called %d times in a minute", n)
		}
		s.SetFault(nil)
		pass(12 * time.Second)
		if _, writes := r.State(); writes != "closed" || inRemote(s.Memory, "a", "b") != "- -" || p.State().Repairs != 0 {
			t.Errorf("%s, the remote has %q, %d keys wait", writes, inRemote(s.Memory, "a", "b"), p.State().Repairs)
		}
	})
}

func TestWhatWasNotSentIsNotRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		p, _ := newOn(t, m)
		m.SetFault(broken("openFences"))
		loads := begun(p, "v", "k")
		loads[0].If = record.IfAbsent
		m.SetFault(nil)
		m.Put("k", "there")
		if err := p.Change(ctx, loads); !errors.Is(err, fence.ErrUnsent) {
			t.Error(err)
		}
		pass(time.Minute)
		if inRemote(m, "k") != "there" || p.State().Repairs != 0 {
			t.Errorf("the remote has %q", inRemote(m, "k"))
		}
	})
}
