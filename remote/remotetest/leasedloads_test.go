package remotetest

import (
	"context"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

var brokenLeasedLoads = []brokenRemote{
	{func(m *Memory) remote.Remote { return brokenOpens{m} }, "a lease that opens a fence returns its nonce, or leaves that to OpenFences"},
	{func(m *Memory) remote.Remote { return brokenStoreReleases{m} }, "a stored item releases its lease, or leaves that to ReleaseLeases"},
	{func(m *Memory) remote.Remote { return brokenRefusalReleases{m} }, "an item that is refused releases no lease"},
}

// brokenOpens returns a nonce that no fence has.
type brokenOpens struct{ *Memory }

func (b brokenOpens) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	answers, err := b.Memory.AcquireLeases(ctx, ttl, asks...)
	for i, ask := range asks {
		if ask.FenceTTL > 0 {
			answers[i].Nonce = "another"
		}
	}
	return answers, err
}

// brokenStoreReleases says that it has released a lease, and has not.
type brokenStoreReleases struct{ *Memory }

func (b brokenStoreReleases) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	outcomes, err := b.Memory.SetFenced(ctx, ttl, items...)
	for i, item := range items {
		if item.Lease != "" && outcomes[i] == remote.FenceStored {
			outcomes[i] = remote.FenceReleased
		}
	}
	return outcomes, err
}

// brokenRefusalReleases releases the lease of any item.
type brokenRefusalReleases struct{ *Memory }

func (b brokenRefusalReleases) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	for _, item := range items {
		_, _ = b.Del(ctx, leaseOf(item.Key))
	}
	return b.Memory.SetFenced(ctx, ttl, items...)
}
