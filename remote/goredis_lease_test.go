package remote_test

import (
	"fmt"
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
		ask(time.Hour, "c")
		if _, err := r.ReleaseLeases(ctx, 2*time.Minute, remote.LeaseEnd{Key: "k", Token: "b", NotStored: true}); err != nil {
			t.Fatal(err)
		}
		holds("not stored", "n:b", 2*time.Minute)
		ask(time.Hour, "d")
		holds("taken after that", "h:d:b", time.Hour)
		ask(time.Hour, "e")
		holds("wanted after that", "w:d:b", time.Hour)
	})
}

// The script by which nodes asked for a lease before there was NotStored: KEYS are the key and its lease,
// ARGV the ttl, the token and the awaited token.
const earlierAsk = `
local was = redis.call("get", KEYS[2]) or ""
local state, rest = string.sub(was, 1, 2), string.sub(was, 3)
if state == "h:" or state == "w:" then
	if rest == ARGV[2] then
		return {1, ""}
	end
	if state == "h:" then
		redis.call("set", KEYS[2], "w:" .. rest, "keepttl")
	end
	return {2, rest}
end
if state == "f:" and ARGV[3] ~= "" and string.sub(rest, 1, #ARGV[3] + 1) == ARGV[3] .. ":" then
	return {3, string.sub(rest, #ARGV[3] + 2)}
end
redis.call("set", KEYS[2], "h:" .. ARGV[2], "px", ARGV[1])
return {1, ""}`

// In a fleet with nodes of an earlier version, no node fails, and each waits for the other.
func TestLeasesOfAFleetWithEarlierNodes(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, r *remote.GoRedisV9Adapter) {
		earlier := func(token, awaited, want string) {
			t.Helper()
			reply, err := s.Client.Eval(ctx, earlierAsk, []string{"k", "{k}#l"}, 60_000, token, awaited).Result()
			if got := fmt.Sprint(reply); err != nil || got != want {
				t.Errorf("the earlier %s, awaiting %q: %s, %v, want %s", token, awaited, got, err, want)
			}
		}
		ours := func(token, awaited string, want remote.LeaseAnswer) {
			t.Helper()
			got, err := r.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: "k", Token: token, Awaited: awaited})
			if err != nil || got[0] != want {
				t.Errorf("our %s, awaiting %q: %+v, %v, want %+v", token, awaited, got, err, want)
			}
		}
		notStored := func(token string) {
			t.Helper()
			wanted, err := r.ReleaseLeases(ctx, time.Minute, remote.LeaseEnd{Key: "k", Token: token, NotStored: true})
			if err != nil || !wanted[0] {
				t.Errorf("our %s releases: %v, %v", token, wanted, err)
			}
		}
		ours("a", "", remote.LeaseAnswer{State: remote.LeaseWon})
		earlier("old", "", "[2 a]")
		ours("b", "", remote.LeaseAnswer{State: remote.LeaseHeld, Holder: "a"})
		notStored("a")
		earlier("old", "a", "[1 ]") // it loads
		ours("b", "a", remote.LeaseAnswer{State: remote.LeaseHeld, Holder: "old"})
		if err := s.Client.Del(ctx, "{k}#l").Err(); err != nil { // it releases the lease
			t.Fatal(err)
		}
		ours("b", "old", remote.LeaseAnswer{State: remote.LeaseWon})
		earlier("old", "", "[2 b]")
		notStored("b")
		ours("c", "", remote.LeaseAnswer{State: remote.LeaseWon})
		earlier("old", "b", "[2 c:b]") // it waits
		ours("d", "b", remote.LeaseAnswer{State: remote.LeaseNotStored})
		ours("d", "", remote.LeaseAnswer{State: remote.LeaseHeld, Holder: "c"})
		notStored("c")
		earlier("old", "c:b", "[1 ]")
	})
}
