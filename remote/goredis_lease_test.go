package remote_test

import (
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestLeasesOnTheServer(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, r *remote.GoRedisV9Adapter) {
		holds := func(what, want string, ttl time.Duration) {
			t.Helper()
			if got, err := s.Client.Get(ctx, "{k}#l").Result(); err != nil || got != want {
				t.Errorf("%s: the lease is %q, %v, want %q", what, got, err, want)
			}
			if left, err := s.Client.PTTL(ctx, "{k}#l").Result(); err != nil || left > ttl || left < ttl-5*time.Second {
				t.Errorf("%s: the lease has %s left, %v, want %s", what, left, err, ttl)
			}
		}
		ask := func(ttl time.Duration, token string) {
			t.Helper()
			if _, err := r.AcquireLeases(ctx, ttl, remote.LeaseAsk{Key: "k", Token: token}); err != nil {
				t.Fatal(err)
			}
		}
		// A value that another program has put there is no lease.
		if err := s.Client.Set(ctx, "{k}#l", "something", 0).Err(); err != nil {
			t.Fatal(err)
		}
		ask(time.Minute, "a")
		holds("held", "h:a", time.Minute)
		ask(time.Hour, "b")
		holds("wanted", "w:a", time.Minute)
		ask(time.Hour, "a")
		holds("asked for again", "w:a", time.Minute)
		if _, err := r.ReleaseLeases(ctx, 2*time.Minute, remote.LeaseEnd{Key: "k", Token: "a", Failure: "why: not"}); err != nil {
			t.Fatal(err)
		}
		holds("failed", "f:a:why: not", 2*time.Minute)
		if _, err := r.ReleaseLeases(ctx, time.Minute, remote.LeaseEnd{Key: "k", Token: "a"}); err != nil {
			t.Fatal(err)
		}
		holds("released again", "f:a:why: not", 2*time.Minute)
		ask(time.Minute, "b")
		holds("taken after a failure", "h:b", time.Minute)
	})
}
