package remotetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

var fenceChecks = []suitetest.Check[Target]{
	{Name: "a fence keeps its nonce, and each has its own", Verify: fenced(openTwice)},
	{Name: "a fence is where FenceKey says", Verify: fenced(fenceKey)},
	{Name: "a fence lives for the longest ttl that it was opened with", Verify: fenced(fenceTTL)},
	{Name: "DelFenced removes keys and renews their fences", Verify: fenced(delRenews)},
	{Name: "a key that can have no fence does not affect the others", Verify: fenced(fenceFailures)},
	{Name: "batches of fences have any size", Verify: fenced(fenceSizes)},
	{Name: "a cancelled context ends calls of fences with an error", Verify: fenced(fencesCancelled)},
}

// fencer is a Target with fences.
type fencer struct {
	Target
	remote.Fencer
}

// fenced returns a check that a Target without fences passes.
func fenced(check func(fencer) error) func(Target) error {
	return func(t Target) error {
		f, ok := t.Remote.(remote.Fencer)
		if !ok {
			return nil
		}
		return check(fencer{t, f})
	}
}

// open returns the nonce of key's fence.
func (f fencer) open(key string) (string, error) { return f.openFor(key, time.Minute) }

func (f fencer) openFor(key string, ttl time.Duration) (string, error) {
	nonces, err := f.OpenFences(ctx, ttl, key)
	if err != nil || len(nonces) != 1 || nonces[0] == "" {
		return "", fmt.Errorf("opening the fence of %q: %q, %v", key, nonces, err)
	}
	return nonces[0], nil
}

// sameNonce fails unless key's fence holds nonce.
func (f fencer) sameNonce(key, nonce string) error {
	if got, err := f.open(key); err != nil || got != nonce {
		return fmt.Errorf("the fence of %q holds %q, want %q as before (%v)", key, got, nonce, err)
	}
	return nil
}

// freshNonce fails if key's fence holds one of nonces, or is closed.
func (f fencer) freshNonce(key string, nonces ...string) error {
	got, err := f.open(key)
	if err != nil || strings.HasPrefix(got, "!") || slices.Contains(nonces, got) {
		return fmt.Errorf("the fence of %q holds %q, want a fresh nonce (%v)", key, got, err)
	}
	return nil
}

func openTwice(f fencer) error {
	first, err := f.OpenFences(ctx, time.Minute, "a", "b")
	if err != nil || len(first) != 2 {
		return fmt.Errorf("%q, %v", first, err)
	}
	if first[0] == first[1] || first[0] == "" || first[1] == "" || strings.HasPrefix(first[0], "!") {
		return fmt.Errorf("the nonces are %q", first)
	}
	again, err := f.OpenFences(ctx, time.Minute, "b", "c", "a", "c")
	if err != nil || len(again) != 4 {
		return fmt.Errorf("%q, %v", again, err)
	}
	if again[0] != first[1] || again[2] != first[0] || again[1] != again[3] || slices.Contains(first, again[1]) {
		return fmt.Errorf("the fences of a and b hold %q, those of b, c, a and c then %q", first, again)
	}
	return nil
}

func fenceKey(f fencer) error {
	for _, key := range []string{"k", "of {a}", "a{b"} {
		if _, err := f.open(key); err != nil {
			return err
		}
		fence, _ := remote.FenceKey(key)
		if _, err := f.Remote.Get(ctx, fence); err != nil {
			return fmt.Errorf("the fence of %q is not at %q: %w", key, fence, err)
		}
	}
	return nil
}

func fenceTTL(f fencer) error {
	const short = 600 * time.Millisecond
	first, err := f.openFor("k", short)
	if err != nil {
		return err
	}
	long, err := f.open("long")
	if err != nil {
		return err
	}
	f.advance(short / 2)
	for key, want := range map[string]string{"k": first, "long": long} {
		if got, err := f.openFor(key, short); err != nil || got != want {
			return fmt.Errorf("%q within its ttl: %q, %v, want %q", key, got, err, want)
		}
	}
	f.advance(short * 3 / 4)
	if got, err := f.openFor("k", short); err != nil || got != first {
		return fmt.Errorf("opening did not extend it: %q, %v, want %q", got, err, first)
	}
	f.advance(short + 50*time.Millisecond)
	return errors.Join(f.freshNonce("k", first), f.sameNonce("long", long))
}

func delRenews(f fencer) error {
	nonce, err := f.open("k")
	if err != nil {
		return err
	}
	if err := f.set(remote.FenceStored, item("k", "v", "")); err != nil {
		return err
	}
	if err := f.DelFenced(ctx, time.Minute, "absent", "k"); err != nil {
		return err
	}
	if err := errors.Join(
		f.expectAbsent("k"),
		f.set(remote.FenceChanged, item("k", "void", nonce)),
		f.freshNonce("k", nonce),
	); err != nil {
		return err
	}
	const short = 100 * time.Millisecond
	if err := f.DelFenced(ctx, short, "short"); err != nil {
		return err
	}
	nonce, err = f.openFor("short", time.Millisecond)
	if err != nil {
		return err
	}
	f.advance(2 * short)
	return f.freshNonce("short", nonce)
}

// onlyFailed fails unless err is a KeysError of exactly these keys.
func onlyFailed(err error, keys ...string) error {
	var some *remote.KeysError
	if !errors.As(err, &some) {
		return fmt.Errorf("the error is %v, want a KeysError", err)
	}
	if got := slices.Sorted(maps.Keys(some.Failed)); !slices.Equal(got, slices.Sorted(slices.Values(keys))) {
		return fmt.Errorf("the keys that failed are %q, want %q", got, keys)
	}
	return nil
}

// unfenceable is a key that can have neither a fence nor a lease.
const unfenceable = "a}b"

func fenceFailures(f fencer) error {
	nonces, err := f.OpenFences(ctx, time.Minute, "k", unfenceable, "l")
	if len(nonces) != 3 || nonces[0] == "" || nonces[1] != "" || nonces[2] == "" {
		return fmt.Errorf("the nonces are %q, want one for the first and the last", nonces)
	}
	if err := onlyFailed(err, unfenceable); err != nil {
		return fmt.Errorf("OpenFences: %w", err)
	}
	outcomes, err := f.SetFenced(ctx, time.Minute, item(unfenceable, "v", ""), item("k", "v", nonces[0]), item("l", "v", "another"))
	if want := []remote.FenceOutcome{remote.FenceUnknown, remote.FenceStored, remote.FenceChanged}; !slices.Equal(outcomes, want) {
		return fmt.Errorf("SetFenced: %v, want %v", outcomes, want)
	}
	if err := onlyFailed(err, unfenceable); err != nil {
		return fmt.Errorf("SetFenced: %w", err)
	}
	const token = "t"
	for name, call := range map[string]func(keys ...string) error{
		"DelFenced":    func(keys ...string) error { return f.DelFenced(ctx, time.Minute, keys...) },
		"CloseFences":  func(keys ...string) error { return f.CloseFences(ctx, time.Minute, token, keys...) },
		"ReopenFences": func(keys ...string) error { return f.ReopenFences(ctx, time.Minute, token, keys...) },
	} {
		if name == "ReopenFences" {
			if err := f.CloseFences(ctx, time.Minute, token, "k"); err != nil {
				return err
			}
		}
		if err := f.set(remote.FenceStored, item("k", "v", "")); err != nil {
			return err
		}
		if err := onlyFailed(call(unfenceable, "k"), unfenceable); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := f.expectAbsent("k"); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func fenceSizes(f fencer) error { return errors.Join(f.fenceMany(0), f.fenceMany(1200)) }

// fenceMany opens n fences, stores what they allow, and removes it.
func (f fencer) fenceMany(n int) error {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	if err := f.storeTwoThirds(keys); err != nil {
		return err
	}
	found, err := f.Remote.MGet(ctx, keys...)
	if err != nil || len(found) != n*2/3 || n > 0 && found["k1199"] != "of k1199" {
		return fmt.Errorf("SetFenced stored %d of %d keys, %v", len(found), n, err)
	}
	if err := f.DelFenced(ctx, time.Minute, keys...); err != nil {
		return err
	}
	if found, err := f.Remote.MGet(ctx, keys...); err != nil || len(found) != 0 {
		return fmt.Errorf("DelFenced left %d of %d keys, %v", len(found), n, err)
	}
	return nil
}

// storeTwoThirds stores keys under the nonces of their fences, but every third one under another
// nonce, which the fence has to refuse.
func (f fencer) storeTwoThirds(keys []string) error {
	n := len(keys)
	nonces, err := f.OpenFences(ctx, time.Minute, keys...)
	if err != nil || len(nonces) != n {
		return fmt.Errorf("OpenFences of %d keys: %d nonces, %v", n, len(nonces), err)
	}
	items := make([]remote.FencedItem, n)
	want := make([]remote.FenceOutcome, n)
	for i, key := range keys {
		items[i], want[i] = item(key, "of "+key, nonces[i]), remote.FenceStored
		if i%3 == 0 {
			items[i].Nonce, want[i] = "another", remote.FenceChanged
		}
	}
	outcomes, err := f.SetFenced(ctx, time.Minute, items...)
	if err != nil || !slices.Equal(outcomes, want) {
		return fmt.Errorf("SetFenced of %d keys, every third under another nonce: %v, %v", n, outcomes, err)
	}
	return nil
}

func fencesCancelled(f fencer) error {
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if nonces, err := f.OpenFences(gone, time.Minute, "k", "l"); err == nil || !slices.Equal(nonces, []string{"", ""}) {
		return fmt.Errorf("OpenFences: %q, %v", nonces, err)
	}
	outcomes, err := f.SetFenced(gone, time.Minute, item("k", "v", ""))
	if err == nil || !slices.Equal(outcomes, []remote.FenceOutcome{remote.FenceUnknown}) {
		return fmt.Errorf("SetFenced: %v, %v", outcomes, err)
	}
	if f.DelFenced(gone, time.Minute, "k") == nil || f.CloseFences(gone, time.Minute, "t", "k") == nil ||
		f.ReopenFences(gone, time.Minute, "t", "k") == nil {
		return errors.New("no error")
	}
	return f.expectAbsent("k")
}
