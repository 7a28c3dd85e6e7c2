package remote_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestFencesOnTheServer(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, r *remote.GoRedisV9Adapter) {
		holds := func(what, key, pattern string, ttl time.Duration) {
			t.Helper()
			got, err := s.Client.Get(ctx, key).Result()
			if err != nil || !regexp.MustCompile("^("+pattern+")$").MatchString(got) {
				t.Errorf("%s: %q is %q, %v, want %s", what, key, got, err, pattern)
			}
			if left, err := s.Client.PTTL(ctx, key).Result(); err != nil || left > ttl || left < ttl-5*time.Second {
				t.Errorf("%s: %q has %s left, %v, want %s", what, key, left, err, ttl)
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		const nonce = `[0-9a-f]{16}-\d+\.\d+`
		const history = "(;[0-9a-f]{16}-[0-9]+)?"
		_, err := r.OpenFences(ctx, time.Minute, "k", "of {k}")
		must(err)
		holds("opened", "{k}#f", nonce, time.Minute)
		holds("opened", "of {k}#f", nonce, time.Minute)
		must(r.DelFenced(ctx, 2*time.Minute, "k"))
		holds("renewed", "{k}#f", nonce+history, 2*time.Minute)
		must(r.CloseFences(ctx, 3*time.Minute, "a", "k"))
		must(r.CloseFences(ctx, time.Minute, "b", "k"))
		must(r.CloseFences(ctx, time.Minute, "a", "k"))
		holds("closed", "{k}#f", "!a,b"+history, 3*time.Minute)
		must(r.DelFenced(ctx, 4*time.Minute, "k"))
		holds("deleted while closed", "{k}#f", "!a,b"+history, 3*time.Minute)
		_, err = r.SetFenced(ctx, 5*time.Minute, remote.FencedItem{Item: remote.Item{Key: "k", Expire: time.Hour}, Renew: true})
		must(err)
		holds("set while closed", "{k}#f", "!a,b"+history, 3*time.Minute)
		holds("set while closed", "k", "", time.Hour)
		must(r.ReopenFences(ctx, 6*time.Minute, "a", "k"))
		holds("reopened by one", "{k}#f", "!b"+history, 3*time.Minute)
		must(r.ReopenFences(ctx, time.Minute, "b", "k"))
		holds("reopened", "{k}#f", nonce+history, time.Minute)
	})
}

// A fence that is not a string is an error of its key alone, and the key is removed all the same.
func TestOneBadFenceDoesNotSpoilABatch(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, r *remote.GoRedisV9Adapter) {
		for _, key := range []string{"{bad}#f", "{bad}#l", "list"} {
			if err := s.Client.LPush(ctx, key, "x").Err(); err != nil {
				t.Fatal(err)
			}
		}
		check := func(what string, err error) {
			t.Helper()
			if !slices.Equal(failed(err), []string{"bad"}) || !strings.Contains(err.Error(), "WRONGTYPE") {
				t.Errorf("%s: %v, want the error of one key", what, err)
			}
		}
		nonces, err := r.OpenFences(ctx, time.Minute, "a", "bad", "b", "list")
		check("OpenFences", err)
		if nonces[0] == "" || nonces[1] != "" || nonces[2] == "" || nonces[3] == "" {
			t.Errorf("OpenFences: %q", nonces)
		}
		outcomes, err := r.SetFenced(ctx, time.Minute, renewals([]string{"bad", "a", "list", "b"}, []string{"", nonces[0], nonces[3], "another"})...)
		check("SetFenced", err)
		if want := []remote.FenceOutcome{remote.FenceUnknown, remote.FenceStored, remote.FenceStored, remote.FenceChanged}; !slices.Equal(outcomes, want) {
			t.Errorf("SetFenced: %v, want %v", outcomes, want)
		}
		if n, err := s.Client.Exists(ctx, "bad").Result(); n != 0 || err != nil {
			t.Errorf("SetFenced stored what it could not fence: %d, %v", n, err)
		}
		for what, call := range map[string]func(keys ...string) error{
			"DelFenced":    func(keys ...string) error { return r.DelFenced(ctx, time.Minute, keys...) },
			"CloseFences":  func(keys ...string) error { return r.CloseFences(ctx, time.Minute, "t", keys...) },
			"ReopenFences": func(keys ...string) error { return r.ReopenFences(ctx, time.Minute, "t", keys...) },
		} {
			if err := r.MSet(ctx, map[string]any{"a": "1", "bad": "2", "b": "3"}, time.Minute); err != nil {
				t.Fatal(err)
			}
			check(what, call("a", "bad", "b"))
			if n, err := s.Client.Exists(ctx, "a", "bad", "b").Result(); n != 0 || err != nil {
				t.Errorf("%s left %d keys, %v", what, n, err)
			}
		}
		answers, err := r.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: "bad", Token: "t"}, remote.LeaseAsk{Key: "a", Token: "t"})
		check("AcquireLeases", err)
		if answers[0].State != remote.LeaseUnknown || answers[1].State != remote.LeaseWon {
			t.Errorf("AcquireLeases: %v", answers)
		}
		_, err = r.ReleaseLeases(ctx, time.Minute, remote.LeaseEnd{Key: "bad", Token: "t"}, remote.LeaseEnd{Key: "a", Token: "t"})
		check("ReleaseLeases", err)
	})
}

func TestKeysThatCanHaveNoFence(t *testing.T) {
	r := remote.NewGoRedis(redistest.Embedded(t).Client).(*remote.GoRedisV9Adapter)
	if _, err := r.OpenFences(ctx, time.Minute, "a}b"); !errors.Is(err, remote.ErrNoSibling) {
		t.Errorf("OpenFences: %v", err)
	}
	if _, err := r.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: "a}b", Token: "t"}); !errors.Is(err, remote.ErrNoSibling) {
		t.Errorf("AcquireLeases: %v", err)
	}
}
