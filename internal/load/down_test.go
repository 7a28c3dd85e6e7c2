package load

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// guarded has the remote of w stop after two calls that fail, and fails them.
func (w *world) guarded() {
	w.Remote.Guard(level.Guards{Breaker: &level.Breaker{FailureRatio: 0.5, MinCalls: 2, Window: time.Minute, OpenFor: time.Second}})
	w.memory.SetFault(func(context.Context, string, ...string) error { return errBoom })
	for range 2 {
		_ = w.Remote.Get(ctx, []*record.Record{{Key: "trip"}}, true)
	}
	w.memory.SetFault(nil)
}

func TestWhileTheRemoteIsDownThePolicyDecides(t *testing.T) {
	const refused = `error: cache: the remote is not called, because too many of its calls have failed: "k"`
	for policy, want := range map[Down]string{LoadFromOrigin: "value loader v", FailFast: refused, StaleOnly: refused} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.Down = policy
			w.guarded()
			w.call("k").loads("k=v").run().want("k: " + want)
			c := w.call("k").loads("k=v")
			c.prepare = func(rec *record.Record) { rec.Reload = true } // it is not read
			c.run().want("k: " + want)
			c = w.call("k").loads("k=v")
			c.reads = func(ctx context.Context, recs []*record.Record) { c.Path.Load(ctx, &c.Request, recs) } // as of a refresh
			c.run().want("k: " + want)
			if policy != LoadFromOrigin {
				w.wantLevels("k: - -")
			}
		})
	}
}

// The probe of a batch says that one key is absent, and nothing of the other.
func TestWhatTheRemoteHasAnsweredIsLoadedEvenIfItIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Down = FailFast
		w.guarded()
		time.Sleep(2 * time.Second)
		w.memory.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "mget" {
				return &remote.KeysError{Op: op, Failed: map[string]error{"failed": errBoom}}
			}
			return nil
		})
		c := w.call("absent", "failed").loads("absent=v", "failed=v").run()
		c.want("absent: value loader v")
		if got := c.result("failed"); !strings.HasPrefix(got, "error: ") || !errors.Is(c.results["failed"].err, level.ErrUnavailable) {
			t.Error(got)
		}
	})
}

func TestWhatIsLoadedWhileTheRemoteIsDownIsKeptForAShortTime(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{0: downLife, time.Hour: downLife, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.guarded()
			c := w.call("k", "none").loads("k=v")
			c.TTL = ttl
			c.run()
			w.wantLevels("k: v -", "none: * -")
			if got := w.store.ttl["k"]; got != want {
				t.Errorf("TTL %s: it is kept for %s", ttl, got)
			}
			if got := w.store.ttl["none"]; got != downLife {
				t.Errorf("TTL %s: a placeholder is kept for %s", ttl, got)
			}
		})
	}
}
