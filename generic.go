package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/limit"
	"github.com/mgtv-tech/jetcache-go/logger"
)

// T is a typed view of a Cache for entities with ids: K is the type of the ids, V that of
// the entities. A key is a prefix, the cache's separator and the id as fmt.Sprint prints
// it: T.Get(ctx, "user", 7, …) reads "user:7".
//
// A T has no state of its own: it may be made anew or copied, and used from any goroutine.
// It also has the methods of the Cache that it does not define itself.
type T[K comparable, V any] struct {
	Cache
}

// NewT returns a typed view of c. c may also be a type that wraps or mocks a Cache: T then
// works through its methods, one call for each id of a batch. From a wrapper that embeds a
// Cache, or has a method Unwrap() Cache, it takes the separator and the not-found error;
// of any other it assumes ":" and ErrNotFound. Through a wrapper, MGet neither shares loads
// with other calls nor notices that a key is changed while its loader runs.
func NewT[K comparable, V any](c Cache) *T[K, V] {
	if c == nil {
		panic("cache: NewT: the cache is nil; give what New returned")
	}
	return &T[K, V]{Cache: c}
}

// Set stores v as the entity with this id.
func (t *T[K, V]) Set(ctx context.Context, key string, id K, v V) error {
	return t.Cache.Set(ctx, t.key(key, id), Value(v))
}

// Get returns the entity with this id: from the cache, or else from fn, as Once does. If
// fn says that it does not exist, by returning the not-found error, so does Get. A nil fn
// makes a miss ErrCacheMiss.
func (t *T[K, V]) Get(ctx context.Context, key string, id K, fn func(ctx context.Context, id K) (V, error)) (V, error) {
	var v V
	var do DoFunc
	if fn != nil {
		do = func(ctx context.Context) (any, error) { return fn(ctx, id) }
	}
	err := t.Cache.Once(ctx, t.key(key, id), Value(&v), Do(do))
	if err != nil {
		var zero V
		return zero, err
	}
	return v, nil
}

// Delete removes the entity with this id from both levels.
func (t *T[K, V]) Delete(ctx context.Context, key string, id K) error {
	return t.Cache.Delete(ctx, t.key(key, id))
}

// Exists reports whether the cache has the entity with this id, not counting placeholders.
func (t *T[K, V]) Exists(ctx context.Context, key string, id K) bool {
	return t.Cache.Exists(ctx, t.key(key, id))
}

// RefreshNow loads the entity with this id at once, if it is being refreshed: if somebody
// asked for its key by Once with Refresh(true). See the function RefreshNow.
func (t *T[K, V]) RefreshNow(ctx context.Context, key string, id K) error {
	return RefreshNow(ctx, t.Cache, t.key(key, id))
}

// MGet is MGetWithErr that logs the error, at level Warn and a bounded rate, instead of
// returning it. With a nil fn, that something is missing is no error.
func (t *T[K, V]) MGet(ctx context.Context, key string, ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error)) map[K]V {
	found, err := t.MGetWithErr(ctx, key, ids, fn)
	if err != nil && !(fn == nil && errors.Is(err, ErrCacheMiss)) {
		if held, ok := mgetFailures.Allow(); ok {
			logger.Warn("cache %s: MGet of %d ids of %q: %v (%d more failures since the last such line)", settingsOf(t.Cache).name, len(ids), key, err, held)
		}
	}
	return found
}

// mgetFailures bounds the log of MGet, over all caches.
var mgetFailures = limit.Limiter{Interval: time.Second}

// MGetWithErr returns the entities with these ids, in three steps: what the local level
// has, what the remote has of the rest, in one round trip, and what fn returns for what is
// then missing, in one call. What fn returns is stored; for ids that it leaves out, a
// placeholder is. Ids whose entity does not exist are not in the result, nor are ids that
// fn returned without being asked.
//
// An id that another call is loading at the time, a single read or a batch, is not loaded
// again: its result is waited for. fn may go on when the caller has left, for others; it
// gets the caller's ctx without its cancellation.
//
// The result and the error may come together. The result has everything that could be had;
// the error, which errors.Is can see through, tells why there may be less: fn failed (values
// that it returned all the same are in the result, but not stored), the remote could not be
// read or written, a value could not be encoded or decoded, ctx ended, or fn is nil and
// something was missing.
func (t *T[K, V]) MGetWithErr(ctx context.Context, key string, ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error)) (map[K]V, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	e := &entities[K, V]{fn: fn, ids: distinct(ids)}
	if len(e.ids) == 0 {
		return map[K]V{}, nil
	}
	e.values = make([]V, len(e.ids))
	s := settingsOf(t.Cache)
	keys := make([]string, len(e.ids))
	for i, id := range e.ids {
		keys[i] = s.key(key, idText(id))
	}

	var state []slotState
	var err error
	if c, ok := t.Cache.(*jetCache); ok {
		if c.CacheType() == "" {
			return map[K]V{}, ErrRemoteLocalBothNil
		}
		e.decodeInto = c.decode
		e.keys = keys
		state, err = c.mget(ctx, keys, e)
	} else {
		state, err = mgetThrough(ctx, t.Cache, keys, e)
	}

	found := make(map[K]V, len(e.ids))
	for i, st := range state {
		if st == slotSet {
			found[e.ids[i]] = e.values[i]
		}
	}
	return found, err
}

// key returns the key of an id.
func (t *T[K, V]) key(prefix string, id K) string {
	return settingsOf(t.Cache).key(prefix, idText(id))
}

// distinct returns ids without repetitions, in their order.
func distinct[K comparable](ids []K) []K {
	seen := make(map[K]struct{}, len(ids))
	out := make([]K, 0, len(ids))
	for _, id := range ids {
		if _, ok := seen[id]; !ok {
			seen[id] = struct{}{}
			out = append(out, id)
		}
	}
	return out
}

// idText returns fmt.Sprint(id), without fmt for the common types.
func idText[K comparable](id K) string {
	switch id := any(id).(type) {
	case string:
		return id
	case int:
		return strconv.Itoa(id)
	case int64:
		return strconv.FormatInt(id, 10)
	case int32:
		return strconv.FormatInt(int64(id), 10)
	case uint:
		return strconv.FormatUint(uint64(id), 10)
	case uint64:
		return strconv.FormatUint(id, 10)
	case uint32:
		return strconv.FormatUint(uint64(id), 10)
	}
	return fmt.Sprint(id)
}

// entities are the slots of a typed batch.
type entities[K comparable, V any] struct {
	ids    []K
	keys   []string
	values []V
	fn     func(ctx context.Context, ids []K) (map[K]V, error)

	decodeInto func(key string, data []byte, dst any) error
}

func (e *entities[K, V]) decode(i int, data []byte) error {
	var v V
	if err := e.decodeInto(e.keys[i], data, &v); err != nil {
		return err
	}
	e.values[i] = v
	return nil
}

func (e *entities[K, V]) loads() bool { return e.fn != nil }

func (e *entities[K, V]) value(i int) any { return e.values[i] }

func (e *entities[K, V]) load(ctx context.Context, indices []int) ([]bool, error) {
	ask := make([]K, len(indices))
	for n, i := range indices {
		ask[n] = e.ids[i]
	}
	got, err := e.fn(ctx, ask)
	found := make([]bool, len(indices))
	for n, i := range indices {
		if v, ok := got[e.ids[i]]; ok {
			e.values[i], found[n] = v, true
		}
	}
	return found, err
}
