package level

import (
	"context"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// The types of this file are a store, and its abilities, whose calls go through guards.

// nothing is the result of a call that has none.
type nothing = struct{}

// only makes a call without a result one with a result.
func only(call func(ctx context.Context) error) func(ctx context.Context) (nothing, error) {
	return func(ctx context.Context) (nothing, error) { return nothing{}, call(ctx) }
}

type guardedStore struct {
	remote.Remote
	reads, writes *guard
}

func (s guardedStore) SetEX(ctx context.Context, key string, value any, expire time.Duration) error {
	_, err := guarded(ctx, s.writes, only(func(ctx context.Context) error { return s.Remote.SetEX(ctx, key, value, expire) }))
	return err
}

func (s guardedStore) SetNX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	return guarded(ctx, s.writes, func(ctx context.Context) (bool, error) { return s.Remote.SetNX(ctx, key, value, expire) })
}

func (s guardedStore) SetXX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	return guarded(ctx, s.writes, func(ctx context.Context) (bool, error) { return s.Remote.SetXX(ctx, key, value, expire) })
}

func (s guardedStore) Get(ctx context.Context, key string) (string, error) {
	return guarded(ctx, s.reads, func(ctx context.Context) (string, error) { return s.Remote.Get(ctx, key) })
}

func (s guardedStore) Del(ctx context.Context, key string) (int64, error) {
	return guarded(ctx, s.writes, func(ctx context.Context) (int64, error) { return s.Remote.Del(ctx, key) })
}

func (s guardedStore) MGet(ctx context.Context, keys ...string) (map[string]any, error) {
	return guarded(ctx, s.reads, func(ctx context.Context) (map[string]any, error) { return s.Remote.MGet(ctx, keys...) })
}

func (s guardedStore) MSet(ctx context.Context, values map[string]any, expire time.Duration) error {
	_, err := guarded(ctx, s.writes, only(func(ctx context.Context) error { return s.Remote.MSet(ctx, values, expire) }))
	return err
}

type guardedTTL struct {
	remote.TTLGetter
	reads *guard
}

func (s guardedTTL) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	return guarded(ctx, s.reads, func(ctx context.Context) (remote.Value, error) { return s.TTLGetter.GetWithTTL(ctx, key) })
}

func (s guardedTTL) MGetWithTTL(ctx context.Context, keys ...string) (map[string]remote.Value, error) {
	return guarded(ctx, s.reads, func(ctx context.Context) (map[string]remote.Value, error) {
		return s.TTLGetter.MGetWithTTL(ctx, keys...)
	})
}

type guardedItems struct {
	remote.ItemSetter
	writes *guard
}

func (s guardedItems) MSetItems(ctx context.Context, items ...remote.Item) error {
	_, err := guarded(ctx, s.writes, only(func(ctx context.Context) error { return s.ItemSetter.MSetItems(ctx, items...) }))
	return err
}

type guardedKeys struct {
	remote.KeysDeleter
	writes *guard
}

func (s guardedKeys) MDel(ctx context.Context, keys ...string) error {
	_, err := guarded(ctx, s.writes, only(func(ctx context.Context) error { return s.KeysDeleter.MDel(ctx, keys...) }))
	return err
}

type guardedLocks struct {
	remote.CompareDeleter
	writes *guard
}

func (s guardedLocks) CompareAndDelete(ctx context.Context, key, value string) (bool, error) {
	return guarded(ctx, s.writes, func(ctx context.Context) (bool, error) {
		return s.CompareDeleter.CompareAndDelete(ctx, key, value)
	})
}

type guardedFences struct {
	remote.Fencer
	writes *guard
}

func (s guardedFences) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	return guarded(ctx, s.writes, func(ctx context.Context) ([]string, error) { return s.Fencer.OpenFences(ctx, ttl, keys...) })
}

func (s guardedFences) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	return guarded(ctx, s.writes, func(ctx context.Context) ([]remote.FenceOutcome, error) {
		return s.Fencer.SetFenced(ctx, ttl, items...)
	})
}

func (s guardedFences) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	_, err := guarded(ctx, s.writes, only(func(ctx context.Context) error { return s.Fencer.DelFenced(ctx, ttl, keys...) }))
	return err
}

func (s guardedFences) CloseFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	_, err := guarded(ctx, s.writes, only(func(ctx context.Context) error { return s.Fencer.CloseFences(ctx, ttl, token, keys...) }))
	return err
}

func (s guardedFences) ReopenFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	_, err := guarded(ctx, s.writes, only(func(ctx context.Context) error { return s.Fencer.ReopenFences(ctx, ttl, token, keys...) }))
	return err
}

type guardedLeases struct {
	remote.Leaser
	writes *guard
}

func (s guardedLeases) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	return guarded(ctx, s.writes, func(ctx context.Context) ([]remote.LeaseAnswer, error) {
		return s.Leaser.AcquireLeases(ctx, ttl, asks...)
	})
}

func (s guardedLeases) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...remote.LeaseEnd) ([]bool, error) {
	return guarded(ctx, s.writes, func(ctx context.Context) ([]bool, error) { return s.Leaser.ReleaseLeases(ctx, ttl, ends...) })
}
