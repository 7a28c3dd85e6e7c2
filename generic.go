package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// T is a typed view of a Cache for entities with ids. K is the type of the ids, V that of the
// entities. A key is a prefix, the cache's separator and the text of the id, as fmt.Sprint prints it:
// T.Get(ctx, "user", 7, …) reads "user:7".
//
// Over a local store that keeps values, T answers hits without decoding; WithSharedValues says what
// that means for V. If V is an interface type, the codec also stores text and bytes, so that they
// come back as what they were.
//
// A T has no state of its own. It may be made anew or copied, and used from any goroutine. It also
// has the methods of the Cache that it does not define itself.
type T[K comparable, V any] struct {
	Cache
}

// NewT returns a typed view of c. It panics if c is nil, and if ids of type K have no text of their
// own: structs, pointers, interfaces and channels, and arrays of these, without a method String or
// MarshalText. Their keys could be mixed up.
//
// c may also be a type that wraps or mocks a Cache. T then works through its methods, one call for
// each id of a batch: MGet neither shares loads with other calls nor notices that a key is changed
// while its loader runs. From a wrapper that embeds a Cache, or has a method Unwrap() Cache, T takes
// the separator and the not-found error. For any other type it assumes ":" and ErrNotFound.
func NewT[K comparable, V any](c Cache) *T[K, V] {
	if c == nil {
		panic("cache: NewT: the cache is nil; give what New returned")
	}
	if why := hasNoText(reflect.TypeFor[K]()); why != "" {
		panic(fmt.Sprintf("cache: NewT: ids of type %s cannot be told apart by their text, because %s; give the type a method String or MarshalText, or use a field of it as the id", reflect.TypeFor[K](), why))
	}
	return &T[K, V]{Cache: c}
}

// Set stores v as the entity with this id.
func (t *T[K, V]) Set(ctx context.Context, key string, id K, v V) error {
	if c, ok := t.Cache.(*jetCache); ok {
		return c.set(ctx, t.Key(key, id), item{value: codecForm(v)})
	}
	return t.Cache.Set(ctx, t.Key(key, id), Value(wrappedForm(t.Cache, v)))
}

// Get returns the entity with this id, from the cache, or else from fn, as Once does. If fn returns
// the not-found error, so does Get. If fn is nil, a miss is ErrCacheMiss.
//
// All fns that are used with one key must load the same value: concurrent callers share one load, so
// one caller gets what another caller's fn has returned. If what a caller may see depends on the
// caller, the key has to say who it is.
func (t *T[K, V]) Get(ctx context.Context, key string, id K, fn func(ctx context.Context, id K) (V, error)) (V, error) {
	c, ok := t.Cache.(*jetCache)
	if !ok {
		return idRead[K, V]{id: id, fn: fn}.through(ctx, t, key)
	}
	d, b, e := hit[K, V](c, key, id)
	if d != nil {
		return d.give(), nil
	}
	if v, ok := textIn[V](e); ok {
		b.release()
		c.observe.LocalHit()
		return v, nil
	}
	return fetch(ctx, c, b, e, idRead[K, V]{id: id, fn: fn})
}

// Fetch is Get with options for this call. It takes all ItemOptions but Value and Do, which are
// ErrInvalidOption: the value is returned, and fn loads it. ExplainEach has no effect.
func (t *T[K, V]) Fetch(ctx context.Context, key string, id K, fn func(ctx context.Context, id K) (V, error), opts ...ItemOption) (V, error) {
	read := newItem(opts)
	if read.value != nil || read.do != nil {
		var zero V
		return zero, refusal("Fetch", "Value and Do: the value is returned, and fn loads it")
	}
	c, ok := t.Cache.(*jetCache)
	if !ok {
		return idRead[K, V]{id, fn, read}.through(ctx, t, key)
	}
	r := idRead[K, V]{id, fn, read}
	if read.refresh && c.CacheType() != "" && c.checkKey(t.Key(key, id)) == nil { // what is wrong the read will tell
		c.keepFresh(t.Key(key, id), r.item())
	}
	if read.skipLocal {
		return fetchSingle[V](ctx, newSingle(c, t.Key(key, id), r.item()))
	}
	d, b, e := hit[K, V](c, key, id)
	if d != nil {
		if read.explain != nil {
			*read.explain = explainID(c, key, id)
		}
		return d.give(), nil
	}
	return fetch(ctx, c, b, e, r)
}

// Delete removes the entity with this id from both levels.
func (t *T[K, V]) Delete(ctx context.Context, key string, id K) error {
	return t.Cache.Delete(ctx, t.Key(key, id))
}

// Exists reports whether the cache has the entity with this id, not counting placeholders.
func (t *T[K, V]) Exists(ctx context.Context, key string, id K) bool {
	return t.Cache.Exists(ctx, t.Key(key, id))
}

// RefreshNow loads the entity with this id at once, if it is being refreshed: if somebody
// asked for its key with Refresh(true). See the function RefreshNow.
func (t *T[K, V]) RefreshNow(ctx context.Context, key string, id K) error {
	return RefreshNow(ctx, t.Cache, t.Key(key, id))
}

// MGet is MGetWithErr that logs the error, at level Warn and a bounded rate, instead of
// returning it. With a nil fn, that something is missing is no error.
func (t *T[K, V]) MGet(ctx context.Context, key string, ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error)) map[K]V {
	found, err := t.MGetWithErr(ctx, key, ids, fn)
	if err != nil && !(fn == nil && errors.Is(err, ErrCacheMiss)) {
		set := settingsOf(t.Cache)
		set.observe.Warn(set.failures, "MGet of %d ids of %s: %v", len(ids), quote.Key(key), err)
	}
	return found
}

// MGetWithErr returns the entities with these ids, in three steps: what the local level
// has, what the remote has of the rest, in one round trip, and what fn returns for what is
// then missing, in one call. What fn returns is stored; for ids that it leaves out, a
// placeholder is. Ids whose entity does not exist are not in the result, nor are ids that
// fn returned without being asked. A value that fn has just returned is in the result as it is; a
// value from a level is decoded.
//
// If another call, a single read or a batch, is loading an id, this call waits for its result. fn may
// go on for other callers when this caller has left. It gets the caller's ctx without its
// cancellation. As with Get, all fns that are used with one key must load the same value.
//
// Ids that are not equal but have the same key, such as any(1) and any("1"), are ErrInvalidKey, and
// so is NaN. The other ids are read.
//
// The result and the error may come together. The result has everything that could be had;
// the error, which errors.Is can see through, tells why there may be less: fn failed (values
// that it returned all the same are in the result, but not stored), the remote could not be
// read or written, a value could not be encoded or decoded, ctx ended, or fn is nil and
// something was missing.
func (t *T[K, V]) MGetWithErr(ctx context.Context, key string, ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error)) (map[K]V, error) {
	return t.mfetch(ctx, idsRead[K, V]{key, ids, fn, item{}})
}

// MGetList returns the entities with these ids as a list in the order of ids. Ids whose entity
// does not exist are left out, and an id that is there twice is in the list twice. Otherwise it is
// MGetWithErr: the list and the error may come together.
func (t *T[K, V]) MGetList(ctx context.Context, key string, ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error)) ([]V, error) {
	found, err := t.MGetWithErr(ctx, key, ids, fn)
	list := make([]V, 0, len(ids))
	for _, id := range ids {
		if v, ok := found[id]; ok {
			list = append(list, v)
		}
	}
	return list, err
}

// MFetch is MGetWithErr with options for this call. It takes all ItemOptions but Value, Do, SetNX and
// SetXX, which are ErrInvalidOption. Refresh has each id refreshed by itself, by a call of fn for it
// alone. Explain has no effect. Over a wrapped Cache, loads know nothing of Refresh, LoadTimeout,
// ExplainEach and stale values.
func (t *T[K, V]) MFetch(ctx context.Context, key string, ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error), opts ...ItemOption) (map[K]V, error) {
	read := newItem(opts)
	if !read.plain() {
		return map[K]V{}, refusal("MFetch", "Value, Do, SetNX and SetXX: the values are returned, fn loads them, and a batch replaces what is there")
	}
	return t.mfetch(ctx, idsRead[K, V]{key, ids, fn, read})
}

// MSet stores each of values as the entity with its id, all in one round trip. It takes the
// options TTL and SkipLocal; Refresh has no effect, as on Set, and Value, Do, SetNX and SetXX
// are ErrInvalidOption. No values: nil, and nothing is done.
//
// Each id is set as by Set. A value that cannot be encoded or stored is reported, and does not
// keep the others from being stored. If the remote cannot be written, its error is returned
// and these ids are dropped from the local level. Ids that are not equal but have the same key are
// ErrInvalidKey, and are not stored.
func (t *T[K, V]) MSet(ctx context.Context, key string, values map[K]V, opts ...ItemOption) error {
	set := newItem(opts)
	if !set.plain() {
		return refusal("MSet", "Value, Do, SetNX and SetXX: the values are given, and replace what is there")
	}
	ids, refused := withOwnKey(slices.Collect(maps.Keys(values)), func(id K) string { return t.Key(key, id) })
	if c, ok := t.Cache.(*jetCache); ok {
		writes := make([]*write, 0, len(ids))
		for _, id := range ids {
			writes = append(writes, newWrite(t.Key(key, id), codecForm(values[id])))
		}
		return join(refused, c.setValues(ctx, writes, set))
	}
	errs := []error{refused}
	for _, id := range ids {
		errs = append(errs, t.Cache.Set(ctx, t.Key(key, id), append(set.options(), Value(wrappedForm(t.Cache, values[id])))...))
	}
	return errors.Join(errs...)
}

// MDelete removes the entities with these ids from both levels, in one round trip, as Delete
// does for each.
func (t *T[K, V]) MDelete(ctx context.Context, key string, ids []K) error {
	keys := t.keys(key, ids)
	if c, ok := t.Cache.(*jetCache); ok {
		return c.remove(ctx, newWrites(keys))
	}
	var errs []error
	for _, key := range keys {
		errs = append(errs, t.Cache.Delete(ctx, key))
	}
	return errors.Join(errs...)
}

// Mutate is the function Mutate for the keys of ids.
func (t *T[K, V]) Mutate(ctx context.Context, key string, ids []K, fn func(ctx context.Context) error) error {
	return Mutate(ctx, t.Cache, t.keys(key, ids), fn)
}

// Key returns the key of the entity with this id: for Mutate over several prefixes, and for calls
// of the Cache itself.
func (t *T[K, V]) Key(prefix string, id K) string {
	b := newKeyBuffer(prefix, settingsOf(t.Cache).separator, id)
	defer b.release()
	return b.key()
}

// keys returns the keys of ids, in their order.
func (t *T[K, V]) keys(prefix string, ids []K) []string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = t.Key(prefix, id)
	}
	return keys
}
