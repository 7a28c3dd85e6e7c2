package remotetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// A Remote with fences and leases may do in one call what a load needs of both.
var leasedLoadChecks = []suitetest.Check[Target]{
	{Name: "a lease that opens a fence returns its nonce, or leaves that to OpenFences", Verify: leasedLoad(leaseOpensFence)},
	{Name: "a stored item releases its lease, or leaves that to ReleaseLeases", Verify: leasedLoad(storeReleases)},
	{Name: "an item that is refused releases no lease", Verify: leasedLoad(refusalReleasesNot)},
}

// leasedFencer is a Target with fences and leases.
type leasedFencer struct {
	fencer
	remote.Leaser
}

// leasedLoad returns a check that a Target without fences or leases passes.
func leasedLoad(check func(leasedFencer) error) func(Target) error {
	return fenced(func(f fencer) error {
		l, ok := f.Remote.(remote.Leaser)
		if !ok {
			return nil
		}
		return check(leasedFencer{f, l})
	})
}

// win wins the lease of key with token, and returns the nonce of the key's fence.
func (l leasedFencer) win(key, token string) (nonce string, err error) {
	answers, err := l.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: key, Token: token, FenceTTL: time.Minute})
	if err != nil || len(answers) != 1 || answers[0].State != remote.LeaseWon {
		return "", fmt.Errorf("the lease of %q for %q: %+v, %v", key, token, answers, err)
	}
	opened, err := l.open(key)
	if n := answers[0].Nonce; err == nil && n != "" && n != opened {
		return "", fmt.Errorf("the lease of %q came with the nonce %q, and the fence holds %q", key, n, opened)
	}
	return opened, err
}

// held fails unless token holds the lease of key, or nobody does if token is empty.
func (l leasedFencer) held(key, token string) error {
	answers, err := l.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: key, Token: "someone"})
	if err != nil || len(answers) != 1 {
		return fmt.Errorf("the lease of %q: %+v, %v", key, answers, err)
	}
	if a := answers[0]; token != "" && (a.State != remote.LeaseHeld || a.Holder != token) {
		return fmt.Errorf("the lease of %q is %+v, want it held by %q", key, a, token)
	}
	if a := answers[0]; token == "" && a.State != remote.LeaseWon {
		return fmt.Errorf("the lease of %q is %+v, want it free", key, a)
	}
	return nil
}

func leaseOpensFence(l leasedFencer) error {
	before, err := l.open("open")
	if err != nil {
		return err
	}
	for key, want := range map[string]string{"open": before, "absent": ""} {
		nonce, err := l.win(key, "t")
		if err != nil {
			return err
		}
		if want != "" && nonce != want {
			return fmt.Errorf("the fence of %q holds %q, want %q as before", key, nonce, want)
		}
		if err := l.set(remote.FenceStored, item(key, "v", nonce)); err != nil {
			return err
		}
	}
	if err := l.CloseFences(ctx, time.Minute, "c", "closed"); err != nil {
		return err
	}
	if nonce, err := l.win("closed", "t"); err != nil || !strings.HasPrefix(nonce, "!") {
		return fmt.Errorf("the nonce of a closed fence is %q, %v", nonce, err)
	}
	return nil
}

// store stores an item whose lease token holds. It reports what became of the lease.
func (l leasedFencer) store(key, nonce, token string) (remote.FenceOutcome, error) {
	i := item(key, "v", nonce)
	i.Lease, i.Expire = token, time.Minute
	outcomes, err := l.SetFenced(ctx, time.Minute, i)
	if err != nil || len(outcomes) != 1 {
		return 0, fmt.Errorf("SetFenced of %q: %v, %v", key, outcomes, err)
	}
	return outcomes[0], nil
}

func storeReleases(l leasedFencer) error {
	for key, wanted := range map[string]bool{"quiet": false, "wanted": true} {
		nonce, err := l.win(key, "t")
		if err != nil {
			return err
		}
		if wanted {
			if err := l.held(key, "t"); err != nil { // another one asks
				return err
			}
		}
		outcome, err := l.store(key, nonce, "t")
		if err != nil {
			return err
		}
		switch {
		case outcome == remote.FenceStored: // the lease is left to ReleaseLeases
			continue
		case outcome == remote.FenceReleased && !wanted, outcome == remote.FenceWanted && wanted:
		default:
			return fmt.Errorf("%q was stored with the outcome %v", key, outcome)
		}
		if _, err := l.Remote.Del(ctx, key); err != nil {
			return err
		}
		if err := l.held(key, ""); err != nil {
			return err
		}
	}
	return nil
}

func refusalReleasesNot(l leasedFencer) error {
	if _, err := l.win("k", "t"); err != nil {
		return err
	}
	outcome, err := l.store("k", "another", "t")
	if err != nil || outcome != remote.FenceChanged {
		return fmt.Errorf("under another nonce: %v, %v", outcome, err)
	}
	if err := l.held("k", "t"); err != nil {
		return err
	}
	// A lease that another token holds stays.
	nonce, err := l.win("other", "holder")
	if err != nil {
		return err
	}
	if _, err := l.store("other", nonce, "late"); err != nil {
		return err
	}
	if _, err := l.Remote.Del(ctx, "other"); err != nil {
		return err
	}
	return l.held("other", "holder")
}
