package cache

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// settings are what T has to know of a cache to use it from outside.
type settings struct {
	observe     *observe.Observer
	failures    *observe.Line // of MGet
	separator   string
	errNotFound error
}

// settingsOf returns the settings of c, or of the cache that c wraps: the result of a
// method Unwrap() Cache, or an embedded Cache. Where it finds none, it takes the defaults.
func settingsOf(c Cache) settings {
	if c := innermost(c); c != nil {
		return settings{c.observe, c.failures, c.separator, c.errNotFound}
	}
	return settings{unknown, unknownFailures, defaultSeparator, ErrNotFound}
}

// unknown and unknownFailures report for caches of other origin.
var (
	unknown         = observe.New(defaultName, stats.NewHandles(true), nil)
	unknownFailures = observe.EverySecond()
)

// wrappedForm is codecForm for a cache of any origin.
func wrappedForm[V any](c Cache, v V) any {
	if innermost(c) == nil {
		return v
	}
	return codecForm(v)
}

// innermost returns the cache that New made and c is or wraps, nil if there is none.
func innermost(c Cache) *jetCache {
	for range maxWrappers {
		if c, ok := c.(*jetCache); ok {
			return c
		}
		if c = unwrap(c); c == nil {
			break
		}
	}
	return nil
}

// maxWrappers bounds how many wrappers are looked through, should one wrap itself.
const maxWrappers = 16

// unwrap returns the cache that c wraps, nil if it is not known.
func unwrap(c Cache) Cache {
	if w, ok := c.(interface{ Unwrap() Cache }); ok {
		return w.Unwrap()
	}
	v := reflect.ValueOf(c)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Anonymous && f.IsExported() && f.Type == reflect.TypeFor[Cache]() {
			inner, _ := reflect.TypeAssert[Cache](v.Field(i))
			return inner
		}
	}
	return nil
}

// through reads by the methods of any Cache, one call for each id. Ids are not coalesced with
// those of other calls, and a change of a key while the loader runs is not noticed.
func (r idsRead[K, V]) through(ctx context.Context, t *T[K, V]) (map[K]V, error) {
	e := newEntities(distinct(r.ids), r.fn)
	for i, id := range e.ids {
		e.keys[i] = t.Key(r.prefix, id)
	}
	state, err := mgetThrough(ctx, t.Cache, e, r.opts)
	found := make(map[K]V, len(e.ids))
	e.collect(found, state)
	return found, err
}

// mgetThrough is mget by the methods of any Cache.
func mgetThrough[K comparable, V any](ctx context.Context, c Cache, e *entities[K, V], opts item) ([]slotState, error) {
	b := wrappedBatch[K, V]{cache: c, entities: e, opts: opts, errNotFound: settingsOf(c).errNotFound, state: make([]slotState, len(e.keys))}
	open, err := b.look(ctx)
	switch {
	case err != nil:
		return b.state, err
	case len(open) == 0:
	case ctx.Err() != nil:
		b.errs = append(b.errs, ctx.Err())
	case !e.loads():
		for _, i := range open {
			b.state[i] = slotFailed
			b.errs = append(b.errs, missing(e.keys[i]))
		}
	default:
		b.load(ctx, open)
	}
	return b.state, errors.Join(b.errs...)
}

// wrappedBatch is a batch of a cache of any origin.
type wrappedBatch[K comparable, V any] struct {
	cache       Cache
	entities    *entities[K, V]
	opts        item
	errNotFound error // of cache
	state       []slotState
	errs        []error
}

// look asks the cache for each key. It returns the indices of those that are to be loaded.
func (b *wrappedBatch[K, V]) look(ctx context.Context) (open []int, err error) {
	get := b.cache.Get
	if b.opts.skipLocal {
		get = b.cache.GetSkippingLocal
	}
	for i, key := range b.entities.keys {
		var v V
		switch err := get(ctx, key, &v); {
		case err == nil:
			b.entities.values[i], b.state[i] = v, slotSet
		case errors.Is(err, b.errNotFound):
			b.state[i] = slotAbsent
		case errors.Is(err, ErrRemoteLocalBothNil):
			return nil, err
		default: // a miss, or something that the loader makes up for
			var damaged undecodable
			if !errors.Is(err, ErrCacheMiss) && !(b.entities.loads() && errors.As(err, &damaged)) { // a loader heals it
				b.errs = append(b.errs, err)
			}
			open = append(open, i)
		}
	}
	return open, nil
}

// load loads the values at the indices open, and stores what the loader returned.
func (b *wrappedBatch[K, V]) load(ctx context.Context, open []int) {
	e := b.entities
	set, err := flight.Run(ctx, func(ctx context.Context) (func() []bool, error) { return e.load(ctx, open) })
	var found []bool
	if set != nil { // otherwise the loader panicked
		found = set()
	}
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("cache: loading %d keys: %w", len(open), err))
	}
	for n, i := range open {
		switch {
		case n < len(found) && found[n]:
			b.state[i] = slotSet
			if err == nil {
				b.errs = append(b.errs, b.set(ctx, e.keys[i], Value(wrappedForm(b.cache, e.values[i]))))
			}
		case err == nil:
			b.state[i] = slotAbsent
			err := b.set(ctx, e.keys[i], Do(func(context.Context) (any, error) { return nil, b.errNotFound }))
			if !errors.Is(err, b.errNotFound) { // else that cache knows another error, and keeps no placeholder
				b.errs = append(b.errs, err)
			}
		default:
			b.state[i] = slotFailed
		}
	}
}

func (b *wrappedBatch[K, V]) set(ctx context.Context, key string, what ItemOption) error {
	err := b.cache.Set(ctx, key, append(b.opts.options(), what)...)
	if errors.Is(err, ErrValueTooLarge) { // as for other reads, that is no error: the caller has the value
		return nil
	}
	return err
}

// through reads by the methods of any Cache.
func (r idRead[K, V]) through(ctx context.Context, t *T[K, V], prefix string) (V, error) {
	var v, zero V
	var do DoFunc
	if r.fn != nil {
		do = func(ctx context.Context) (any, error) {
			v, err := r.fn(ctx, r.id)
			return wrappedForm(t.Cache, v), err
		}
	}
	if err := t.Cache.Once(ctx, t.Key(prefix, r.id), append(r.opts.options(), Value(&v), Do(do))...); err != nil {
		return zero, err
	}
	return v, nil
}
