package remotetest

import (
	"context"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

var brokenLifetimes = []brokenRemote{
	{func(m *Memory) remote.Remote { return brokenSeconds{m} }, "lifetimes are exact to the millisecond"},
	{func(m *Memory) remote.Remote { return brokenNegative{m} }, "a negative lifetime is an error and changes nothing"},
	{func(m *Memory) remote.Remote { return brokenOverflow{m} }, "a very long lifetime is no error and does not end at once"},
	{func(m *Memory) remote.Remote { return brokenEndsAtOnce{m} }, "a very long lifetime is no error and does not end at once"},
	{func(m *Memory) remote.Remote { return brokenShortBatch{m} }, "a very long lifetime is no error and does not end at once"},
	{func(m *Memory) remote.Remote { return brokenFenceOverflow{m} }, "a very long ttl of a fence is no error and does not end at once"},
	{func(m *Memory) remote.Remote { return brokenFenceEnds{m} }, "a very long ttl of a fence is no error and does not end at once"},
	{func(m *Memory) remote.Remote { return brokenLeaseEnds{m} }, "a very long ttl of a lease is no error and does not end at once"},
	{func(m *Memory) remote.Remote { return brokenTTL{m} }, "the remaining lifetime comes with the value"},
}

type brokenSeconds struct{ *Memory }

func (b brokenSeconds) SetEX(ctx context.Context, key string, v any, d time.Duration) error {
	return b.Memory.SetEX(ctx, key, v, (d + time.Second - 1).Truncate(time.Second))
}

type brokenNegative struct{ *Memory }

func (b brokenNegative) SetEX(ctx context.Context, key string, v any, d time.Duration) error {
	return b.Memory.SetEX(ctx, key, v, max(d, 0))
}

// roundedUp overflows.
func roundedUp(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

type brokenOverflow struct{ *Memory }

func (b brokenOverflow) SetEX(ctx context.Context, key string, v any, d time.Duration) error {
	return b.Memory.SetEX(ctx, key, v, roundedUp(d))
}

type brokenEndsAtOnce struct{ *Memory }

func (b brokenEndsAtOnce) SetXX(ctx context.Context, key string, v any, d time.Duration) (bool, error) {
	return b.Memory.SetXX(ctx, key, v, max(roundedUp(d), time.Millisecond))
}

type brokenShortBatch struct{ *Memory }

func (b brokenShortBatch) MSetItems(ctx context.Context, items ...remote.Item) error {
	for i := range items {
		items[i].Expire = min(items[i].Expire, time.Hour)
	}
	return b.Memory.MSetItems(ctx, items...)
}

type brokenFenceOverflow struct{ *Memory }

func (b brokenFenceOverflow) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	return b.Memory.DelFenced(ctx, roundedUp(ttl), keys...)
}

type brokenFenceEnds struct{ *Memory }

func (b brokenFenceEnds) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	return b.Memory.OpenFences(ctx, max(roundedUp(ttl), time.Millisecond), keys...)
}

type brokenLeaseEnds struct{ *Memory }

func (b brokenLeaseEnds) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	return b.Memory.AcquireLeases(ctx, max(roundedUp(ttl), time.Millisecond), asks...)
}

type brokenTTL struct{ *Memory }

func (b brokenTTL) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	v, err := b.Memory.GetWithTTL(ctx, key)
	v.TTL = 0
	return v, err
}
