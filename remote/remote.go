// Package remote holds the shared level of a cache: what it asks of a store, and the
// adapter for Redis through go-redis.
package remote

import (
	"context"
	"time"
)

// Remote is a store that the nodes of a fleet share. Implementations must be safe for
// concurrent use. Each call must end when its ctx does. The suite in remote/remotetest
// says what else is expected.
//
// What a Remote can do beyond this is found by asserting the small interfaces below;
// those that lack them work, at the cost that each of them names.
type Remote interface {
	// SetEX stores value under key for expire; an expire of zero means that the key
	// does not expire, a negative one is an error. Values are []byte or string.
	SetEX(ctx context.Context, key string, value any, expire time.Duration) error
	// SetNX is SetEX if key is absent; it reports whether it stored.
	SetNX(ctx context.Context, key string, value any, expire time.Duration) (bool, error)
	// SetXX is SetEX if key is present; it reports whether it stored.
	SetXX(ctx context.Context, key string, value any, expire time.Duration) (bool, error)
	// Get returns the value of key, and the error that Nil returns if there is none.
	Get(ctx context.Context, key string) (string, error)
	// Del removes key and returns how many keys that removed.
	Del(ctx context.Context, key string) (int64, error)
	// MGet returns the values of those keys that are there, each a string. If only
	// some keys could be read, it returns those and an error.
	MGet(ctx context.Context, keys ...string) (map[string]any, error)
	// MSet is SetEX for each key of values. If only some keys could be stored, it
	// returns an error.
	MSet(ctx context.Context, values map[string]any, expire time.Duration) error
	// Nil returns the error that means that a key is absent.
	Nil() error
}

// Value is what a key holds and for how much longer.
type Value struct {
	Data string
	TTL  time.Duration // what remains; zero or less: it does not expire
}

// Item is a value to store under a key, for its own time.
type Item struct {
	Key    string
	Data   []byte
	Expire time.Duration // zero: it does not expire
}

// TTLGetter is an optional ability of a Remote: the remaining lifetime together with
// the value, in one round trip. Without it, a local copy may outlive the remote's
// value by up to the cache's remote expiry.
type TTLGetter interface {
	// GetWithTTL is Get with what remains of the key's lifetime.
	GetWithTTL(ctx context.Context, key string) (Value, error)
	// MGetWithTTL is MGet with what remains of each key's lifetime.
	MGetWithTTL(ctx context.Context, keys ...string) (map[string]Value, error)
}

// ItemSetter is an optional ability of a Remote: storing several values with
// different lifetimes in one round trip. Without it, values and placeholders of a
// batch take one call of MSet each.
type ItemSetter interface {
	// MSetItems is SetEX for each item. If only some could be stored, it returns an
	// error.
	MSetItems(ctx context.Context, items ...Item) error
}

// KeysDeleter is an optional ability of a Remote: removing several keys in one round trip.
// Without it, they take a call of Del each.
type KeysDeleter interface {
	// MDel is Del for each key. If only some could be removed, it returns an error.
	MDel(ctx context.Context, keys ...string) error
}

// CompareDeleter is an optional ability of a Remote: removing a key only if it still
// holds what the caller put there. Without it, the lock of a failed refresh stays
// until it expires.
type CompareDeleter interface {
	// CompareAndDelete removes key if its value is value, atomically; it reports
	// whether it did.
	CompareAndDelete(ctx context.Context, key, value string) (bool, error)
}
