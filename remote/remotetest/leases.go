package remotetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

var leaseChecks = []suitetest.Check[Target]{
	{Name: "a lease has one holder", Verify: leased(oneHolder)},
	{Name: "of concurrent asks for a lease one wins", Verify: leased(leaseConcurrent)},
	{Name: "a lease ends with its ttl, also if others ask for it", Verify: leased(leaseTTL)},
	{Name: "a key that is present has no lease", Verify: leased(leaseStored)},
	{Name: "only its holder can release a lease", Verify: leased(releaseOwn)},
	{Name: "a release reports whether the lease is wanted", Verify: leased(releaseWanted)},
	{Name: "a failure is reported to those who await its token", Verify: leased(failureTold)},
	{Name: "a failure lives for its ttl, if the lease is wanted", Verify: leased(failureTTL)},
	{Name: "that a value was not stored is reported to those who await its token", Verify: leased(notStoredTold)},
	{Name: "that a value was not stored lives for its ttl, if the lease is wanted", Verify: leased(notStoredTTL)},
	{Name: "a key that can have no lease does not affect the others", Verify: leased(leaseFailures)},
	{Name: "batches of leases have any size", Verify: leased(leaseSizes)},
	{Name: "a cancelled context ends calls of leases with an error", Verify: leased(leasesCancelled)},
}

// leaser is a Target with leases.
type leaser struct {
	Target
	remote.Leaser
}

// leased returns a check that a Target without leases passes.
func leased(check func(leaser) error) func(Target) error {
	return func(t Target) error {
		l, ok := t.Remote.(remote.Leaser)
		if !ok {
			return nil
		}
		return check(leaser{t, l})
	}
}

var won = remote.LeaseAnswer{State: remote.LeaseWon}

func heldBy(token string) remote.LeaseAnswer {
	return remote.LeaseAnswer{State: remote.LeaseHeld, Holder: token}
}

func failedWith(text string) remote.LeaseAnswer {
	return remote.LeaseAnswer{State: remote.LeaseFailed, Failure: text}
}

// ask asks for a lease. It fails unless the answer is want.
func (l leaser) ask(want remote.LeaseAnswer, key, token, awaited string) error {
	answers, err := l.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: key, Token: token, Awaited: awaited})
	if err != nil || !slices.Equal(answers, []remote.LeaseAnswer{want}) {
		return fmt.Errorf("%s asks for %q, awaiting %q: %+v, %v, want %+v", token, key, awaited, answers, err, want)
	}
	return nil
}

// release releases a lease. It fails unless it was wanted as want says.
func (l leaser) release(want bool, key, token, failure string) error { //nolint:revive // want is the answer that must come
	wanted, err := l.ReleaseLeases(ctx, time.Minute, remote.LeaseEnd{Key: key, Token: token, Failure: failure})
	if err != nil || !slices.Equal(wanted, []bool{want}) {
		return fmt.Errorf("%s releases %q: wanted is %v, %v, want %v", token, key, wanted, err, want)
	}
	return nil
}

func leaseStored(l leaser) error {
	stored := remote.LeaseAnswer{State: remote.LeaseStored}
	return errors.Join(
		l.Remote.SetEX(ctx, "k", "v", time.Minute),
		l.ask(stored, "k", "a", ""),
		l.ask(won, "l", "a", ""),
		l.Remote.SetEX(ctx, "l", "v", time.Minute), // as the holder does
		l.ask(stored, "l", "b", "a"),
		l.release(false, "l", "a", ""),
	)
}

func oneHolder(l leaser) error {
	lease, _ := remote.LeaseKey("k")
	if err := errors.Join(
		l.ask(won, "k", "a", ""),
		l.ask(won, "another", "a", ""),
		l.ask(heldBy("a"), "k", "b", ""),
		l.ask(heldBy("a"), "k", "c", "a"),
		l.ask(won, "k", "a", ""), // as a client that repeats a call whose reply was lost
		l.ask(heldBy("a"), "k", "b", "a"),
	); err != nil {
		return err
	}
	if n, err := l.Remote.Del(ctx, lease); err != nil || n != 1 {
		return fmt.Errorf("the lease is not where LeaseKey says: %d, %v", n, err)
	}
	return errors.Join(l.ask(won, "k", "b", ""), l.expectAbsent("k"))
}

func leaseConcurrent(l leaser) error {
	var (
		wg      sync.WaitGroup
		answers [8][]remote.LeaseAnswer
		errs    [8]error
	)
	for i := range answers {
		wg.Go(func() {
			answers[i], errs[i] = l.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: "k", Token: fmt.Sprint(i)})
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	winners := 0
	for _, a := range answers {
		if a[0] == won {
			winners++
		}
	}
	if winners != 1 {
		return fmt.Errorf("%d winners: %v", winners, answers)
	}
	return nil
}

func leaseTTL(l leaser) error {
	const short = 400 * time.Millisecond
	ask := func(token string, want remote.LeaseAnswer) error {
		answers, err := l.AcquireLeases(ctx, short, remote.LeaseAsk{Key: "k", Token: token})
		if err != nil || !slices.Equal(answers, []remote.LeaseAnswer{want}) {
			return fmt.Errorf("%s: %+v, %v, want %+v", token, answers, err, want)
		}
		return nil
	}
	if err := ask("a", won); err != nil {
		return err
	}
	l.advance(short / 2)
	if err := errors.Join(ask("b", heldBy("a")), ask("a", won)); err != nil {
		return err
	}
	l.advance(short/2 + 50*time.Millisecond)
	return errors.Join(ask("b", won), l.release(false, "k", "a", ""), ask("a", heldBy("b")))
}

func releaseOwn(l leaser) error {
	return errors.Join(
		l.release(false, "k", "a", ""), // nobody holds it
		l.ask(won, "k", "a", ""),
		l.release(false, "k", "b", ""),
		l.release(false, "k", "b", "failure"),
		l.ask(heldBy("a"), "k", "b", ""),
		l.release(false, "k", "b", "failure"), // a token that asked for it does not hold it
		l.ask(heldBy("a"), "k", "b", ""),
		l.release(true, "k", "a", ""),
		l.release(false, "k", "a", ""),
		l.ask(won, "k", "b", "a"),
	)
}

func releaseWanted(l leaser) error {
	return errors.Join(
		l.ask(won, "k", "a", ""),
		l.release(false, "k", "a", ""),
		l.ask(won, "k", "a", ""),
		l.ask(won, "k", "a", ""), // the holder asks again, so it is not wanted
		l.release(false, "k", "a", ""),
		l.ask(won, "k", "b", ""),
		l.ask(heldBy("b"), "k", "c", ""),
		l.ask(won, "k", "b", ""), // the holder asks again, and it is still wanted
		l.release(true, "k", "b", ""),
		l.ask(won, "k", "c", "b"),
		l.release(false, "k", "c", ""),
	)
}

// failureTexts are texts with bytes that could be taken for the end, or for another state.
var failureTexts = []string{"not found", "h:a", ":", "f:a:b:", "\x00\n\xff", "%[^"}

func failureTold(l leaser) error {
	for i, text := range failureTexts {
		key := fmt.Sprint("k", i)
		if err := errors.Join(
			l.ask(won, key, "a", ""),
			l.ask(heldBy("a"), key, "b", ""),
			l.release(true, key, "a", text),
			l.ask(failedWith(text), key, "b", "a"),
			l.ask(failedWith(text), key, "c", "a"), // each of those who await it gets it
			l.release(false, key, "a", ""),         // the lease is released already
			l.ask(failedWith(text), key, "a", "a"),
			l.ask(won, key, "d", ""), // a caller that awaits nothing, or another token, gets the lease
			l.ask(heldBy("d"), key, "b", "a"),
			l.release(true, key, "d", text),
			l.ask(won, key, "e", "a"),
		); err != nil {
			return err
		}
	}
	return nil
}

func failureTTL(l leaser) error {
	const short = 100 * time.Millisecond
	if err := errors.Join(
		l.ask(won, "unwanted", "a", ""),
		l.release(false, "unwanted", "a", "failure"),
		l.ask(won, "unwanted", "b", "a"),
		l.ask(won, "k", "a", ""),
		l.ask(heldBy("a"), "k", "b", ""),
	); err != nil {
		return err
	}
	wanted, err := l.ReleaseLeases(ctx, short, remote.LeaseEnd{Key: "k", Token: "a", Failure: "failure"})
	if err != nil || !slices.Equal(wanted, []bool{true}) {
		return fmt.Errorf("%v, %v", wanted, err)
	}
	l.advance(2 * short)
	return l.ask(won, "k", "b", "a")
}

// releaseNotStored releases a lease that is wanted, after the value was loaded and not stored. The
// mark that it leaves lives for ttl.
func (l leaser) releaseNotStored(key, token string, ttl time.Duration) error {
	wanted, err := l.ReleaseLeases(ctx, ttl, remote.LeaseEnd{Key: key, Token: token, NotStored: true})
	if err != nil || !slices.Equal(wanted, []bool{true}) {
		return fmt.Errorf("%s releases %q, not stored: wanted is %v, %v", token, key, wanted, err)
	}
	return nil
}

var notStored = remote.LeaseAnswer{State: remote.LeaseNotStored}

// tellsNotStored reports whether the store keeps what NotStored says. A store need not do that: then
// the lease is free.
func (l leaser) tellsNotStored() (tells bool, err error) {
	if err := errors.Join(
		l.ask(won, "told", "a", ""),
		l.ask(heldBy("a"), "told", "b", ""),
		l.releaseNotStored("told", "a", time.Minute),
	); err != nil {
		return false, err
	}
	answers, err := l.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: "told", Token: "b", Awaited: "a"})
	if err != nil || slices.Equal(answers, []remote.LeaseAnswer{won}) {
		return false, err
	}
	return true, nil
}

func notStoredTold(l leaser) error {
	if tells, err := l.tellsNotStored(); !tells {
		return err
	}
	return errors.Join(
		l.ask(won, "k", "a", ""),
		l.ask(heldBy("a"), "k", "b", ""),
		l.releaseNotStored("k", "a", time.Minute),
		l.ask(notStored, "k", "b", "a"),
		l.ask(notStored, "k", "c", "a"), // each of those who await it
		l.ask(notStored, "k", "b", "a"), // as a client that repeats a call whose reply was lost
		l.release(false, "k", "a", ""),  // the lease is released already
		// A caller that awaits nothing, or another token, gets the lease. It does not take the answer
		// from those who await the first token and have not asked yet.
		l.ask(won, "k", "d", ""),
		l.ask(won, "k", "d", ""),
		l.ask(notStored, "k", "e", "a"),
		l.ask(heldBy("d"), "k", "f", ""),
		l.ask(notStored, "k", "e", "a"),
		l.ask(heldBy("d"), "k", "g", "another"),
		l.ask(won, "k", "d", ""),
		l.releaseNotStored("k", "d", time.Minute),
		l.ask(notStored, "k", "f", "d"),
		l.ask(won, "k", "e", "a"), // that was too long ago
		l.ask(notStored, "k", "f", "d"),
		l.ask(heldBy("e"), "k", "f", "e"),
		l.release(true, "k", "e", "failure"),
		l.ask(failedWith("failure"), "k", "f", "e"),
		// The value is there after all.
		l.ask(won, "l", "a", ""),
		l.ask(heldBy("a"), "l", "b", ""),
		l.releaseNotStored("l", "a", time.Minute),
		l.Remote.SetEX(ctx, "l", "v", time.Minute),
		l.ask(remote.LeaseAnswer{State: remote.LeaseStored}, "l", "b", "a"),
	)
}

func notStoredTTL(l leaser) error {
	const short = 100 * time.Millisecond
	wanted, err := l.ReleaseLeases(ctx, short, remote.LeaseEnd{Key: "unwanted", Token: "a", NotStored: true})
	if err != nil || !slices.Equal(wanted, []bool{false}) {
		return fmt.Errorf("%v, %v", wanted, err)
	}
	if err := errors.Join(
		l.ask(won, "unwanted", "b", "a"),
		l.ask(won, "k", "a", ""),
		l.ask(heldBy("a"), "k", "b", ""),
		l.releaseNotStored("k", "a", short),
	); err != nil {
		return err
	}
	l.advance(2 * short)
	return l.ask(won, "k", "b", "a")
}

func leaseFailures(l leaser) error {
	answers, err := l.AcquireLeases(ctx, time.Minute,
		remote.LeaseAsk{Key: unfenceable, Token: "a"}, remote.LeaseAsk{Key: "k", Token: "a"},
		remote.LeaseAsk{Key: "colon", Token: "a:b"}, remote.LeaseAsk{Key: "none"})
	if want := []remote.LeaseAnswer{{}, won, {}, {}}; !slices.Equal(answers, want) {
		return fmt.Errorf("AcquireLeases: %+v, want %+v", answers, want)
	}
	if err := onlyFailed(err, unfenceable, "colon", "none"); err != nil {
		return fmt.Errorf("AcquireLeases: %w", err)
	}
	if err := l.ask(heldBy("a"), "k", "b", ""); err != nil {
		return err
	}
	wanted, err := l.ReleaseLeases(ctx, time.Minute,
		remote.LeaseEnd{Key: unfenceable, Token: "a"}, remote.LeaseEnd{Key: "k", Token: "a"},
		remote.LeaseEnd{Key: "none"})
	if want := []bool{false, true, false}; !slices.Equal(wanted, want) {
		return fmt.Errorf("ReleaseLeases: %v, want %v", wanted, want)
	}
	if err := onlyFailed(err, unfenceable, "none"); err != nil {
		return fmt.Errorf("ReleaseLeases: %w", err)
	}
	if answers, err := l.AcquireLeases(ctx, 0, remote.LeaseAsk{Key: "k", Token: "a"}); err == nil {
		return fmt.Errorf("a ttl of zero: %v, want an error", answers)
	}
	return nil
}

func leaseSizes(l leaser) error {
	for _, n := range []int{0, 1200} {
		asks, again := make([]remote.LeaseAsk, n), make([]remote.LeaseAsk, n)
		ends := make([]remote.LeaseEnd, n)
		want, wanted := make([]remote.LeaseAnswer, n), make([]bool, n)
		for i := range asks {
			key, token := fmt.Sprint("k", i), fmt.Sprint("t", i)
			asks[i] = remote.LeaseAsk{Key: key, Token: token}
			again[i] = remote.LeaseAsk{Key: key, Token: "another"}
			ends[i] = remote.LeaseEnd{Key: key, Token: token}
			want[i] = heldBy(token)
			if wanted[i] = i%3 > 0; !wanted[i] {
				again[i].Token, want[i] = token, won
			}
		}
		if _, err := l.AcquireLeases(ctx, time.Minute, asks...); err != nil {
			return err
		}
		if got, err := l.AcquireLeases(ctx, time.Minute, again...); err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("%d leases that are held, two thirds by others: %v, %v", n, got, err)
		}
		if got, err := l.ReleaseLeases(ctx, time.Minute, ends...); err != nil || !slices.Equal(got, wanted) {
			return fmt.Errorf("%d leases, two thirds of them wanted: %v, %v", n, got, err)
		}
	}
	return nil
}

func leasesCancelled(l leaser) error {
	gone, cancel := context.WithCancel(ctx)
	cancel()
	answers, err := l.AcquireLeases(gone, time.Minute, remote.LeaseAsk{Key: "k", Token: "a"})
	if err == nil || !slices.Equal(answers, []remote.LeaseAnswer{{}}) {
		return fmt.Errorf("AcquireLeases: %v, %v", answers, err)
	}
	wanted, err := l.ReleaseLeases(gone, time.Minute, remote.LeaseEnd{Key: "k", Token: "a"})
	if err == nil || !slices.Equal(wanted, []bool{false}) {
		return fmt.Errorf("ReleaseLeases: %v, %v", wanted, err)
	}
	return l.ask(won, "k", "b", "")
}
