package remotetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

var brokenFences = []brokenRemote{
	{func(m *Memory) remote.Remote { return brokenNonces{m} }, "a fence keeps its nonce, and each has its own"},
	{func(m *Memory) remote.Remote { return brokenFencePlace{m} }, "a fence is where FenceKey says"},
	{func(m *Memory) remote.Remote { return brokenShortens{m} }, "a fence lives for the longest ttl that it was opened with"},
	{func(m *Memory) remote.Remote { return brokenBlind{m} }, "SetFenced stores only under the nonce of the fence"},
	{func(m *Memory) remote.Remote { return brokenAbsentFence{m} }, "SetFenced stores only under the nonce of the fence"},
	{func(m *Memory) remote.Remote { return brokenNeverRenews{m} }, "SetFenced renews the fences of items that ask for it"},
	{func(m *Memory) remote.Remote { return brokenAlwaysRenews{m} }, "SetFenced stores only under the nonce of the fence"},
	{func(m *Memory) remote.Remote { return brokenConditions{m} }, "SetFenced stores only if the key is absent, or present"},
	{func(m *Memory) remote.Remote { return brokenRenewsRefused{m} }, "SetFenced stores only if the key is absent, or present"},
	{func(m *Memory) remote.Remote { return brokenFencedSeconds{m} }, "lifetimes of SetFenced are exact to the millisecond"},
	{func(m *Memory) remote.Remote { return brokenRacySet{m} }, "of concurrent SetFenced that renew one fence, one stores"},
	{func(m *Memory) remote.Remote { return brokenPlainDel{m} }, "DelFenced removes keys and renews their fences"},
	{func(m *Memory) remote.Remote { return brokenSpoils{m} }, "a key that can have no fence does not affect the others"},
	{func(m *Memory) remote.Remote { return brokenFenceSize{m} }, "batches of fences have any size"},
	{func(m *Memory) remote.Remote { return brokenFenceDeaf{m} }, "a cancelled context ends calls of fences with an error"},
	{func(m *Memory) remote.Remote { return brokenNeverCloses{m} }, "under a closed fence no loaded value is stored"},
	{func(m *Memory) remote.Remote { return brokenAdmitsClosed{m} }, "under a closed fence no loaded value is stored"},
	{func(m *Memory) remote.Remote { return brokenDelOpens{m} }, "changes leave a closed fence closed"},
	{func(m *Memory) remote.Remote { return brokenNeverLost{m} }, "ReopenFences reports fences that were not closed any more"},
	{func(m *Memory) remote.Remote { return brokenReopens{m} }, "a fence opens when it is reopened under all its tokens"},
	{func(m *Memory) remote.Remote { return brokenOneToken{m} }, "a fence opens when it is reopened under all its tokens"},
	{func(m *Memory) remote.Remote { return brokenClosedForever{m} }, "a fence is closed for its ttl at most"},
	{func(m *Memory) remote.Remote { return brokenLastTTL{m} }, "a fence stays closed for the longest ttl"},
	{func(m *Memory) remote.Remote { return brokenExtendsClosed{m} }, "only CloseFences makes a closed fence live longer"},
	{func(m *Memory) remote.Remote { return brokenAnyToken{m} }, "tokens of fences are checked"},
}

// forget removes the fences of keys.
func forget(m *Memory, keys ...string) {
	for _, key := range keys {
		fence, _ := remote.FenceKey(key)
		_, _ = m.Del(ctx, fence)
	}
}

// expireIn makes the fences of keys live for ttl.
func expireIn(m *Memory, ttl time.Duration, keys ...string) {
	for _, key := range keys {
		fence, _ := remote.FenceKey(key)
		if nonce, ok := m.Peek(fence); ok {
			_ = m.SetEX(ctx, fence, nonce, ttl)
		}
	}
}

type brokenNonces struct{ *Memory }

func (b brokenNonces) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	forget(b.Memory, keys...)
	return b.Memory.OpenFences(ctx, ttl, keys...)
}

type brokenFencePlace struct{ *Memory }

func (b brokenFencePlace) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	others := make([]string, len(keys))
	for i, key := range keys {
		others[i] = "fence of " + key
	}
	return b.Memory.OpenFences(ctx, ttl, others...)
}

type brokenShortens struct{ *Memory }

func (b brokenShortens) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	nonces, err := b.Memory.OpenFences(ctx, ttl, keys...)
	expireIn(b.Memory, ttl, keys...)
	return nonces, err
}

// change returns a copy of items, with change applied to each.
func change(items []remote.FencedItem, change func(*remote.FencedItem)) []remote.FencedItem {
	items = slices.Clone(items)
	for i := range items {
		change(&items[i])
	}
	return items
}

type brokenBlind struct{ *Memory }

func (b brokenBlind) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	return b.Memory.SetFenced(ctx, ttl, change(items, func(i *remote.FencedItem) { i.Nonce = "" })...)
}

type brokenAbsentFence struct{ *Memory }

func (b brokenAbsentFence) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	return b.Memory.SetFenced(ctx, ttl, change(items, func(i *remote.FencedItem) {
		fence, _ := remote.FenceKey(i.Key)
		if _, ok := b.Peek(fence); !ok {
			i.Nonce = ""
		}
	})...)
}

type brokenNeverRenews struct{ *Memory }

func (b brokenNeverRenews) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	return b.Memory.SetFenced(ctx, ttl, change(items, func(i *remote.FencedItem) { i.Renew = false })...)
}

type brokenAlwaysRenews struct{ *Memory }

func (b brokenAlwaysRenews) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	return b.Memory.SetFenced(ctx, ttl, change(items, func(i *remote.FencedItem) { i.Renew = true })...)
}

type brokenConditions struct{ *Memory }

func (b brokenConditions) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	return b.Memory.SetFenced(ctx, ttl, change(items, func(i *remote.FencedItem) { i.IfAbsent = false })...)
}

type brokenRenewsRefused struct{ *Memory }

func (b brokenRenewsRefused) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	outcomes, err := b.Memory.SetFenced(ctx, ttl, items...)
	for i, item := range items {
		if outcomes[i] == remote.FenceCondition && item.Renew {
			forget(b.Memory, item.Key)
		}
	}
	return outcomes, err
}

type brokenFencedSeconds struct{ *Memory }

func (b brokenFencedSeconds) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	return b.Memory.SetFenced(ctx, ttl, change(items, func(i *remote.FencedItem) {
		if i.Expire > 0 {
			i.Expire = max(i.Expire.Truncate(time.Second), time.Second)
		}
	})...)
}

type brokenRacySet struct{ *Memory }

func (b brokenRacySet) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	fence, _ := remote.FenceKey(items[0].Key)
	if nonce, _ := b.Peek(fence); nonce != items[0].Nonce {
		return []remote.FenceOutcome{remote.FenceChanged}, nil
	}
	time.Sleep(time.Millisecond)
	return brokenBlind(b).SetFenced(ctx, ttl, items...)
}

type brokenPlainDel struct{ *Memory }

func (b brokenPlainDel) DelFenced(ctx context.Context, _ time.Duration, keys ...string) error {
	return b.MDel(ctx, keys...)
}

type brokenSpoils struct{ *Memory }

func (b brokenSpoils) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	nonces, err := b.Memory.OpenFences(ctx, ttl, keys...)
	if err != nil {
		return make([]string, len(keys)), err
	}
	return nonces, nil
}

type brokenFenceSize struct{ *Memory }

func (b brokenFenceSize) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	return b.Memory.DelFenced(ctx, ttl, keys[:min(len(keys), 500)]...)
}

type brokenFenceDeaf struct{ *Memory }

func (b brokenFenceDeaf) CloseFences(_ context.Context, ttl time.Duration, token string, keys ...string) error {
	return b.Memory.CloseFences(context.Background(), ttl, token, keys...)
}

type brokenNeverCloses struct{ *Memory }

func (b brokenNeverCloses) CloseFences(ctx context.Context, ttl time.Duration, _ string, keys ...string) error {
	return b.DelFenced(ctx, ttl, keys...)
}

type brokenAdmitsClosed struct{ *Memory }

func (b brokenAdmitsClosed) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	return b.Memory.SetFenced(ctx, ttl, change(items, func(i *remote.FencedItem) {
		if isClosed(i.Nonce) {
			i.Nonce = ""
		}
	})...)
}

type brokenDelOpens struct{ *Memory }

func (b brokenDelOpens) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	forget(b.Memory, keys...)
	return b.Memory.DelFenced(ctx, ttl, keys...)
}

type brokenReopens struct{ *Memory }

func (b brokenReopens) ReopenFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	forget(b.Memory, keys...)
	return b.Memory.ReopenFences(ctx, ttl, token, keys...)
}

type brokenNeverLost struct{ *Memory }

func (b brokenNeverLost) ReopenFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	if err := b.Memory.ReopenFences(ctx, ttl, token, keys...); !errors.Is(err, remote.ErrFenceLost) {
		return err
	}
	return nil
}

type brokenOneToken struct{ *Memory }

func (b brokenOneToken) CloseFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	forget(b.Memory, keys...)
	return b.Memory.CloseFences(ctx, ttl, token, keys...)
}

type brokenClosedForever struct{ *Memory }

func (b brokenClosedForever) CloseFences(ctx context.Context, _ time.Duration, token string, keys ...string) error {
	return b.Memory.CloseFences(ctx, time.Hour, token, keys...)
}

type brokenLastTTL struct{ *Memory }

func (b brokenLastTTL) CloseFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	err := b.Memory.CloseFences(ctx, ttl, token, keys...)
	expireIn(b.Memory, ttl, keys...)
	return err
}

type brokenExtendsClosed struct{ *Memory }

func (b brokenExtendsClosed) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	nonces, err := b.Memory.OpenFences(ctx, ttl, keys...)
	expireIn(b.Memory, ttl, keys...)
	return nonces, err
}

type brokenAnyToken struct{ *Memory }

func (b brokenAnyToken) CloseFences(ctx context.Context, ttl time.Duration, _ string, keys ...string) error {
	return b.Memory.CloseFences(ctx, ttl, "t", keys...)
}
