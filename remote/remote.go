// Package remote holds the shared level of a cache: the interfaces that a store must have, and the
// adapter for Redis by go-redis.
package remote

import (
	"context"
	"time"
)

// Remote is a store that the nodes of a fleet share. Its methods may be called concurrently. Each
// call must end when its ctx ends, with an error. The suite in remote/remotetest checks all of
// this.
//
// A Remote may have more abilities: the small interfaces below, which a cache finds by type
// assertion. A cache works without them. Each of them says what its lack costs.
type Remote interface {
	// SetEX stores value, a []byte or a string, under key for expire. Zero means that the key
	// does not expire. A negative expire is an error. Lifetimes are exact to the millisecond. A
	// very long one, up to the longest time.Duration, is no error; it may be shortened to years.
	SetEX(ctx context.Context, key string, value any, expire time.Duration) error
	// SetNX is SetEX if key is absent. It reports whether it stored the value.
	SetNX(ctx context.Context, key string, value any, expire time.Duration) (bool, error)
	// SetXX is SetEX if key is present. It reports whether it stored the value.
	SetXX(ctx context.Context, key string, value any, expire time.Duration) (bool, error)
	// Get returns the value of key. If key is absent, it returns the error that Nil returns.
	Get(ctx context.Context, key string) (string, error)
	// Del removes key. It returns the number of keys that it removed: 0 or 1.
	Del(ctx context.Context, key string) (int64, error)
	// MGet returns the values of the keys that are present, each as a string. If some keys could
	// not be read, it returns the values of the others, and an error.
	MGet(ctx context.Context, keys ...string) (map[string]any, error)
	// MSet is SetEX for each key of values. If only some could be stored, it returns an error.
	MSet(ctx context.Context, values map[string]any, expire time.Duration) error
	// Nil returns the error that means that a key is absent.
	Nil() error
}

// Value is the value of a key, and its remaining lifetime.
type Value struct {
	Data string
	TTL  time.Duration // zero or less means that the key does not expire
}

// Item is a value to store under a key.
type Item struct {
	Key    string
	Data   []byte
	Expire time.Duration // the lifetime; zero means that the key does not expire
}

// TTLGetter is an optional ability of a Remote: it returns the remaining lifetime together with the
// value, in one round trip. Without it, a local copy of a value may outlive the value by as much as
// the remote expiry of the cache.
type TTLGetter interface {
	// GetWithTTL is Get with the remaining lifetime.
	GetWithTTL(ctx context.Context, key string) (Value, error)
	// MGetWithTTL is MGet with the remaining lifetimes.
	MGetWithTTL(ctx context.Context, keys ...string) (map[string]Value, error)
}

// ItemSetter is an optional ability of a Remote: it stores values with different lifetimes in one
// round trip. Without it, a batch takes one call of MSet for its values and one for its
// placeholders.
type ItemSetter interface {
	// MSetItems is SetEX for each item. If only some could be stored, it returns an error.
	MSetItems(ctx context.Context, items ...Item) error
}

// KeysDeleter is an optional ability of a Remote: it removes several keys in one round trip.
// Without it, each key takes a call of Del.
type KeysDeleter interface {
	// MDel is Del for each key. If only some could be removed, it returns an error.
	MDel(ctx context.Context, keys ...string) error
}

// CompareDeleter is an optional ability of a Remote: it removes a key only if the key still has the
// value that the caller has put there. Without it, the lock of a failed refresh stays until it
// expires.
type CompareDeleter interface {
	// CompareAndDelete removes key if its value is value, atomically. It reports whether it
	// removed the key.
	CompareAndDelete(ctx context.Context, key, value string) (bool, error)
}

// ContextHeeder is an optional ability of a Remote: it says whether its calls end at once when their
// ctx ends. Without it, they count as calls that may go on, so a cache with WithRemoteTimeout makes each
// of them in a goroutine of its own.
type ContextHeeder interface {
	// HeedsContext reports whether each call ends soon after its ctx, whatever the server and the
	// network do. The answer must not change.
	HeedsContext() bool
}
