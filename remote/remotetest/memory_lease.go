package remotetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

var _ remote.Leaser = (*Memory)(nil)

// What a lease begins with; the token of who has it, or had it, follows, and after leaseFailure
// ":" and the failure.
const (
	leaseHeld    = "h:"
	leaseWanted  = "w:" // held, and asked for by another
	leaseFailure = "f:"
)

// AcquireLeases tries to take leases.
func (m *Memory) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers := make([]remote.LeaseAnswer, len(asks))
	keys := make([]string, len(asks))
	for i, ask := range asks {
		keys[i] = ask.Key
	}
	err := m.eachSibling(ctx, "acquireLeases", ttl, keys, remote.LeaseKey, func(i int, lease string) error {
		if err := checkLeaseToken(asks[i].Token); err != nil {
			return err
		}
		answers[i] = m.acquireLocked(asks[i], lease, ttl)
		return nil
	})
	return answers, err
}

func (m *Memory) acquireLocked(ask remote.LeaseAsk, lease string, ttl time.Duration) remote.LeaseAnswer {
	if _, there := m.lookLocked(ask.Key); there {
		return remote.LeaseAnswer{State: remote.LeaseStored}
	}
	l, _ := m.lookLocked(lease)
	if holder, held := holderOf(l.data); held {
		if holder == ask.Token {
			return remote.LeaseAnswer{State: remote.LeaseWon}
		}
		l.data = leaseWanted + holder
		m.m[lease] = l
		return remote.LeaseAnswer{State: remote.LeaseHeld, Holder: holder}
	}
	if failed, ok := strings.CutPrefix(l.data, leaseFailure); ok {
		if token, failure, _ := strings.Cut(failed, ":"); token == ask.Awaited {
			return remote.LeaseAnswer{State: remote.LeaseFailed, Failure: failure}
		}
	}
	m.m[lease] = stored{data: leaseHeld + ask.Token, end: time.Now().Add(ttl)}
	return remote.LeaseAnswer{State: remote.LeaseWon}
}

// holderOf returns the token of who holds a lease.
func holderOf(lease string) (token string, held bool) {
	if token, held = strings.CutPrefix(lease, leaseHeld); held {
		return token, true
	}
	return strings.CutPrefix(lease, leaseWanted)
}

// ReleaseLeases gives back leases.
func (m *Memory) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	wanted := make([]bool, len(ends))
	keys := make([]string, len(ends))
	for i, end := range ends {
		keys[i] = end.Key
	}
	err := m.eachSibling(ctx, "releaseLeases", ttl, keys, remote.LeaseKey, func(i int, lease string) error {
		end := ends[i]
		if err := checkLeaseToken(end.Token); err != nil {
			return err
		}
		l, _ := m.lookLocked(lease)
		if holder, held := holderOf(l.data); !held || holder != end.Token {
			return nil
		}
		wanted[i] = strings.HasPrefix(l.data, leaseWanted)
		if wanted[i] && end.Failure != "" {
			return m.storeLocked(lease, leaseFailure+end.Token+":"+end.Failure, ttl)
		}
		delete(m.m, lease)
		return nil
	})
	return wanted, err
}

func checkLeaseToken(token string) error {
	if token == "" || strings.Contains(token, ":") {
		return fmt.Errorf("remotetest: %q is no token of leases", token)
	}
	return nil
}
