package lease_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/lease"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// lossy is a store whose answers to AcquireLeases are lost.
type lossy struct{ *remotetest.Memory }

func (l lossy) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	if _, err := l.Memory.AcquireLeases(ctx, ttl, asks...); err != nil {
		return nil, err
	}
	return nil, errBoom
}

func TestALeaseWhoseAnswerWasLostIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(1, false, func(m *remotetest.Memory) remote.Remote { return lossy{m} })
		f.load = func(context.Context, string) (string, error) { return notStored, nil }
		if got := value(f.nodes[0].get(ctx, "k")[0]); got != notStored {
			t.Errorf("it gets %q", got)
		}
		synctest.Wait() // nobody waits for the release
		if got := f.leaseOf("k"); got != "-" {
			t.Errorf("the lease is %q", got)
		}
	})
}

// asked records when leases were asked for, and with which lifetimes the ends of loads were kept.
type asked struct {
	*remotetest.Memory
	mu   sync.Mutex
	at   []time.Time     // guarded by mu
	kept []time.Duration // guarded by mu
	hang bool            // AcquireLeases returns when its ctx ends
}

func (a *asked) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	a.mu.Lock()
	a.at = append(a.at, time.Now())
	a.mu.Unlock()
	if a.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return a.Memory.AcquireLeases(ctx, ttl, asks...)
}

func (a *asked) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	a.mu.Lock()
	a.kept = append(a.kept, ttl)
	a.mu.Unlock()
	return a.Memory.ReleaseLeases(ctx, ttl, ends...)
}

func newAsked(n int) (*fleet, *asked) {
	a := &asked{}
	f := newFleet(n, false, func(m *remotetest.Memory) remote.Remote {
		a.Memory = m
		return a
	})
	return f, a
}

// A remote that hangs is not waited for when a lease would have run out.
func TestARemoteThatHangsHoldsUpALoadForOneLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a := newAsked(1)
		a.hang = true
		began := time.Now()
		if got := value(f.nodes[0].get(ctx, "k")[0]); got != "v of k" || time.Since(began) != leaseTTL+time.Second || len(a.at) != 1 {
			t.Errorf("it gets %q after %s and %d calls", got, time.Since(began), len(a.at))
		}
	})
}

// A record for which the remote gave no answer before is loaded without a lease.
func TestTheRemoteIsNotAskedForASilentRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a := newAsked(1)
		rec := &record.Record{Key: "k", Silent: errBoom}
		f.nodes[0].policy.Lead(ctx, []*record.Record{rec}, f.nodes[0])
		if value(rec) != "v of k" || len(a.at) != 0 || len(a.kept) != 0 {
			t.Errorf("it gets %q after %d and %d calls", value(rec), len(a.at), len(a.kept))
		}
	})
}

// Shortly before the end of an attempt there is no look that could have no answer in time.
func TestTheLastLookIsAWhileBeforeTheEnd(t *testing.T) {
	for _, hears := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f, a := newAsked(20)
			_, _ = f.AcquireLeases(ctx, 2*leaseTTL, remote.LeaseAsk{Key: "k", Token: "dead"})
			began := time.Now()
			var wg sync.WaitGroup
			for _, n := range f.nodes {
				n.policy.Hears = func() bool { return hears }
				wg.Go(func() { n.get(ctx, "k") })
			}
			wg.Wait()
			for _, at := range a.at {
				if left := leaseTTL - at.Sub(began); left < 50*time.Millisecond {
					t.Errorf("it looked %s before the end", left)
				}
			}
			each := len(a.at) / len(f.nodes)
			if hears && each > 12 || !hears && each < 20 {
				t.Errorf("with hears = %v, a node looked %d times", hears, each)
			}
		})
	}
}

// A failure is kept no longer than a lease lives.
func TestAFailureIsKeptForALeaseAtMost(t *testing.T) {
	f, a := newAsked(1)
	f.nodes[0].policy.TTL = 200 * time.Millisecond
	f.load = func(context.Context, string) (string, error) { return "", errBoom }
	f.nodes[0].get(ctx, "k")
	if !slices.Equal(a.kept, []time.Duration{200 * time.Millisecond}) {
		t.Errorf("it was kept for %s", a.kept)
	}
	if len(f.nodes[0].toldOn) != 0 {
		t.Errorf("it told of %q", f.nodes[0].told)
	}
}

// stepsOf are Steps that load by a function.
type stepsOf func(rec *record.Record)

func (s stepsOf) Load(_ context.Context, recs []*record.Record) {
	for _, rec := range recs {
		s(rec)
	}
}

func (stepsOf) Read(_ context.Context, recs []*record.Record) []*record.Record { return recs }
func (stepsOf) Fail(rec *record.Record, err error)                             { rec.Err = err }

// The call that stored a value may have given back its lease: then the others are still told.
func TestOthersAreToldOfALeaseThatWasGivenBackByTheStore(t *testing.T) {
	f, a := newAsked(1)
	n := f.nodes[0]
	n.policy.Lead(ctx, []*record.Record{{Key: "k"}}, stepsOf(func(rec *record.Record) {
		rec.Out.Kind, rec.Stored, rec.Lease, rec.LeaseWanted = record.Value, record.Stored, "", true
	}))
	if got := n.sorted(&n.told); got != "k" || len(a.kept) != 0 {
		t.Errorf("it told of %q, and gave back %d leases", got, len(a.kept))
	}
}

// If the remote falls silent during a load, its caller does not wait for it again.
func TestTheCallerDoesNotWaitForTheReleaseByASilentRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newAsked(1)
		f.SetFault(func(ctx context.Context, op string, _ ...string) error {
			if op == "releaseLeases" {
				time.Sleep(time.Second)
			}
			return ctx.Err()
		})
		began := time.Now()
		f.nodes[0].policy.Lead(ctx, []*record.Record{{Key: "k"}}, stepsOf(func(rec *record.Record) {
			rec.Out.Kind, rec.Silent = record.Value, errors.New("silent")
		}))
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s", took)
		}
		if got := f.leaseOf("k"); got == "-" {
			t.Error("the lease was given back at once")
		}
		pass(2 * time.Second)
		if got := f.leaseOf("k"); got != "-" {
			t.Errorf("the lease is %q", got)
		}
	})
}

// Nobody would get the panic of a remote in the background.
func TestAReleaseThatPanicsInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newAsked(1)
		f.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "releaseLeases" {
				panic("the pieces")
			}
			return nil
		})
		f.nodes[0].policy.Lead(ctx, []*record.Record{{Key: "k"}}, stepsOf(func(rec *record.Record) { rec.Silent = errBoom }))
		pass(time.Second)
	})
}

// opening is a store that opens fences with leases.
type opening struct{ *remotetest.Memory }

func (o opening) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers, err := o.Memory.AcquireLeases(ctx, ttl, asks...)
	for i, ask := range asks {
		if ask.FenceTTL > 0 {
			answers[i].Nonce = "nonce"
		}
	}
	return answers, err
}

// Leases open the fences of their keys, if there are fences.
func TestALeaseOpensTheFence(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Minute} {
		r := level.NewRemote(opening{remotetest.NewMemory()}, level.Lifetime{}, observe.New("c", nil, quiet{}))
		l := lease.New(r, lease.Config{
			TTL: leaseTTL, FenceTTL: ttl, Token: func() string { return "t" },
			Tell: func(context.Context, []string) {}, Hears: func() bool { return false },
		})
		var token record.Token
		l.Lead(ctx, []*record.Record{{Key: "k"}}, stepsOf(func(rec *record.Record) { token = rec.Token }))
		if (token.Nonce != "") != (ttl > 0) || token.Began.IsZero() == (ttl > 0) || token.Began.After(time.Now()) {
			t.Errorf("with fences for %s, the token is %+v", ttl, token)
		}
	}
}
