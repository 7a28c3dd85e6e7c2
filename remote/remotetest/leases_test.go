package remotetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

var brokenLeases = []brokenRemote{
	{func(m *Memory) remote.Remote { return brokenManyHolders{m} }, "a lease has one holder"},
	{func(m *Memory) remote.Remote { return brokenRacyLease{m} }, "of concurrent asks for a lease one wins"},
	{func(m *Memory) remote.Remote { return brokenAskExtends{m} }, "a lease ends with its ttl, also if others ask for it"},
	{func(m *Memory) remote.Remote { return brokenBlindLease{m} }, "a key that is present has no lease"},
	{func(m *Memory) remote.Remote { return brokenAnyRelease{m} }, "only its holder can release a lease"},
	{func(m *Memory) remote.Remote { return brokenNeverWanted{m} }, "a release reports whether the lease is wanted"},
	{func(m *Memory) remote.Remote { return brokenForgetsWanted{m} }, "a release reports whether the lease is wanted"},
	{func(m *Memory) remote.Remote { return brokenNoFailures{m} }, "a failure is reported to those who await its token"},
	{func(m *Memory) remote.Remote { return brokenFailureText{m} }, "a failure is reported to those who await its token"},
	{func(m *Memory) remote.Remote { return brokenFailureForever{m} }, "a failure lives for its ttl, if the lease is wanted"},
	{func(m *Memory) remote.Remote { return brokenNotStoredOnce{m} }, "that a value was not stored is reported to those who await its token"},
	{func(m *Memory) remote.Remote { return brokenNotStoredForgotten{m} }, "that a value was not stored is reported to those who await its token"},
	{func(m *Memory) remote.Remote { return brokenNotStoredForever{m} }, "that a value was not stored lives for its ttl, if the lease is wanted"},
	{func(m *Memory) remote.Remote { return brokenLeaseSpoils{m} }, "a key that can have no lease does not affect the others"},
	{func(m *Memory) remote.Remote { return brokenLeaseSize{m} }, "batches of leases have any size"},
	{func(m *Memory) remote.Remote { return brokenLeaseDeaf{m} }, "a cancelled context ends calls of leases with an error"},
}

func leaseOf(key string) string {
	lease, _ := remote.LeaseKey(key)
	return lease
}

type brokenManyHolders struct{ *Memory }

func (b brokenManyHolders) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	for _, ask := range asks {
		_, _ = b.Del(ctx, leaseOf(ask.Key))
	}
	return b.Memory.AcquireLeases(ctx, ttl, asks...)
}

type brokenRacyLease struct{ *Memory }

func (b brokenRacyLease) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	if _, held := b.Peek(leaseOf(asks[0].Key)); held {
		return b.Memory.AcquireLeases(ctx, ttl, asks...)
	}
	time.Sleep(time.Millisecond)
	return brokenManyHolders(b).AcquireLeases(ctx, ttl, asks...)
}

type brokenAskExtends struct{ *Memory }

func (b brokenAskExtends) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers, err := b.Memory.AcquireLeases(ctx, ttl, asks...)
	for _, ask := range asks {
		data, _ := b.Peek(leaseOf(ask.Key))
		_ = b.SetEX(ctx, leaseOf(ask.Key), data, ttl)
	}
	return answers, err
}

// altered returns a copy of ends, with a change applied to each.
func altered(ends []remote.LeaseEnd, change func(*remote.LeaseEnd)) []remote.LeaseEnd {
	ends = slices.Clone(ends)
	for i := range ends {
		change(&ends[i])
	}
	return ends
}

type brokenAnyRelease struct{ *Memory }

func (b brokenAnyRelease) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	return b.Memory.ReleaseLeases(ctx, ttl, altered(ends, func(e *remote.LeaseEnd) {
		data, _ := b.Peek(leaseOf(e.Key))
		if holder, _, held := holderOf(data); held {
			e.Token = holder
		}
	})...)
}

type brokenNeverWanted struct{ *Memory }

func (b brokenNeverWanted) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	_, err := b.Memory.ReleaseLeases(ctx, ttl, ends...)
	return make([]bool, len(ends)), err
}

type brokenForgetsWanted struct{ *Memory }

func (b brokenForgetsWanted) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers, err := b.Memory.AcquireLeases(ctx, ttl, asks...)
	for i, ask := range asks {
		if answers[i].State == remote.LeaseWon {
			_ = b.SetEX(ctx, leaseOf(ask.Key), leaseHeld+ask.Token, ttl)
		}
	}
	return answers, err
}

type brokenBlindLease struct{ *Memory }

func (b brokenBlindLease) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	var keys []string
	for _, ask := range asks {
		keys = append(keys, ask.Key)
	}
	there, err := b.MGet(ctx, keys...)
	if err != nil {
		return make([]remote.LeaseAnswer, len(asks)), err
	}
	_ = b.MDel(ctx, keys...)
	answers, err := b.Memory.AcquireLeases(ctx, ttl, asks...)
	_ = b.MSet(ctx, there, 0)
	return answers, err
}

type brokenNoFailures struct{ *Memory }

func (b brokenNoFailures) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	return b.Memory.ReleaseLeases(ctx, ttl, altered(ends, func(e *remote.LeaseEnd) { e.Failure = "" })...)
}

type brokenFailureText struct{ *Memory }

func (b brokenFailureText) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	return b.Memory.ReleaseLeases(ctx, ttl, altered(ends, func(e *remote.LeaseEnd) { e.Failure, _, _ = strings.Cut(e.Failure, ":") })...)
}

type brokenFailureForever struct{ *Memory }

func (b brokenFailureForever) ReleaseLeases(ctx context.Context, _ time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	return b.Memory.ReleaseLeases(ctx, time.Hour, ends...)
}

type brokenNotStoredOnce struct{ *Memory }

func (b brokenNotStoredOnce) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers, err := b.Memory.AcquireLeases(ctx, ttl, asks...)
	for i, answer := range answers {
		if answer.State == remote.LeaseNotStored {
			_, _ = b.Del(ctx, leaseOf(asks[i].Key))
		}
	}
	return answers, err
}

// brokenNotStoredForgotten forgets that a value was not stored when another token wins the lease.
type brokenNotStoredForgotten struct{ *Memory }

func (b brokenNotStoredForgotten) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers, err := b.Memory.AcquireLeases(ctx, ttl, asks...)
	for i, answer := range answers {
		data, _ := b.Peek(leaseOf(asks[i].Key))
		if holder, _, held := holderOf(data); held && answer.State == remote.LeaseWon {
			_ = b.SetEX(ctx, leaseOf(asks[i].Key), data[:len(leaseHeld)]+holder, ttl)
		}
	}
	return answers, err
}

type brokenNotStoredForever struct{ *Memory }

func (b brokenNotStoredForever) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	for _, end := range ends {
		if end.NotStored {
			ttl = time.Hour
		}
	}
	return b.Memory.ReleaseLeases(ctx, ttl, ends...)
}

// earlierLeases is a store that was written before there was NotStored. It passes the suite.
type earlierLeases struct{ *Memory }

func (e earlierLeases) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	return e.Memory.ReleaseLeases(ctx, ttl, altered(ends, func(end *remote.LeaseEnd) { end.NotStored = false })...)
}

func TestAStoreNeedNotKnowNotStored(t *testing.T) {
	suitetest.Run(t, leaseChecks, func(*testing.T) Target { return Target{Remote: earlierLeases{NewMemory()}} })
}

type brokenLeaseSpoils struct{ *Memory }

func (b brokenLeaseSpoils) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers, err := b.Memory.AcquireLeases(ctx, ttl, asks...)
	if err != nil {
		return make([]remote.LeaseAnswer, len(asks)), err
	}
	return answers, nil
}

type brokenLeaseSize struct{ *Memory }

func (b brokenLeaseSize) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers, err := b.Memory.AcquireLeases(ctx, ttl, asks[:min(len(asks), 500)]...)
	return append(answers, make([]remote.LeaseAnswer, len(asks)-len(answers))...), err
}

type brokenLeaseDeaf struct{ *Memory }

func (b brokenLeaseDeaf) AcquireLeases(_ context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	return b.Memory.AcquireLeases(context.Background(), ttl, asks...)
}
