package remotetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/remote"
)

var _ remote.Leaser = (*Memory)(nil)

// The beginnings of a lease's value. The token follows. After leaseFailure, ":" and the failure come
// then. After leaseHeld and leaseWanted, ":" and another token may come: the value that it loaded
// before was not stored.
const (
	leaseHeld      = "h:" // the token holds it
	leaseWanted    = "w:" // the token holds it, and another token has asked for it
	leaseFailure   = "f:" // the token has released it with a failure
	leaseNotStored = "n:" // the token has released it, and the value that it loaded was not stored
)

// AcquireLeases asks for leases.
func (m *Memory) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers := make([]remote.LeaseAnswer, len(asks))
	keys := make([]string, len(asks))
	for i, ask := range asks {
		keys[i] = ask.Key
	}
	err := m.eachSideKey(ctx, sideCall{"acquireLeases", ttl, remote.LeaseKey}, keys, func(i int, lease string) error {
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
	if holder, before, held := holderOf(l.data); held {
		switch {
		case holder == ask.Token:
			return remote.LeaseAnswer{State: remote.LeaseWon}
		case ask.Awaited != "" && before == ask.Awaited:
			return remote.LeaseAnswer{State: remote.LeaseNotStored}
		}
		l.data = leaseWanted + l.data[len(leaseHeld):]
		m.m[lease] = l
		return remote.LeaseAnswer{State: remote.LeaseHeld, Holder: holder}
	}
	won := leaseHeld + ask.Token
	if before, ok := strings.CutPrefix(l.data, leaseNotStored); ok {
		if ask.Awaited != "" && before == ask.Awaited {
			return remote.LeaseAnswer{State: remote.LeaseNotStored}
		}
		won += ":" + before
	}
	if failed, ok := strings.CutPrefix(l.data, leaseFailure); ok {
		if token, failure, _ := strings.Cut(failed, ":"); token == ask.Awaited {
			return remote.LeaseAnswer{State: remote.LeaseFailed, Failure: failure}
		}
	}
	m.m[lease] = stored{data: won, end: time.Now().Add(ttl)}
	return remote.LeaseAnswer{State: remote.LeaseWon}
}

// holderOf returns the token that holds a lease, and the token before it whose value was not stored,
// if there is one. It reports whether the lease is held.
func holderOf(lease string) (token, before string, held bool) {
	tokens, held := strings.CutPrefix(lease, leaseHeld)
	if !held {
		tokens, held = strings.CutPrefix(lease, leaseWanted)
	}
	token, before, _ = strings.Cut(tokens, ":")
	return token, before, held
}

// ReleaseLeases releases leases.
func (m *Memory) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	wanted := make([]bool, len(ends))
	keys := make([]string, len(ends))
	for i, end := range ends {
		keys[i] = end.Key
	}
	err := m.eachSideKey(ctx, sideCall{"releaseLeases", ttl, remote.LeaseKey}, keys, func(i int, lease string) error {
		end := ends[i]
		if err := checkLeaseToken(end.Token); err != nil {
			return err
		}
		l, _ := m.lookLocked(lease)
		if holder, _, held := holderOf(l.data); !held || holder != end.Token {
			return nil
		}
		wanted[i] = strings.HasPrefix(l.data, leaseWanted)
		switch {
		case wanted[i] && end.Failure != "":
			return m.storeLocked(lease, leaseFailure+end.Token+":"+end.Failure, ttl)
		case wanted[i] && end.NotStored:
			return m.storeLocked(lease, leaseNotStored+end.Token, ttl)
		}
		delete(m.m, lease)
		return nil
	})
	return wanted, err
}

func checkLeaseToken(token string) error {
	if token == "" || strings.Contains(token, ":") {
		return fmt.Errorf("remotetest: %s is no token of a lease", quote.Key(token))
	}
	return nil
}
