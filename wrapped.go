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
	separator   string
	errNotFound error
}

// settingsOf returns the settings of c, or of the cache that c wraps: the result of a
// method Unwrap() Cache, or an embedded Cache. Where it finds none, it takes the defaults.
func settingsOf(c Cache) settings {
	if c := innermost(c); c != nil {
		return settings{c.observe, c.separator, c.errNotFound}
	}
	return settings{unknown, defaultSeparator, ErrNotFound}
}

// unknown reports for caches of other origin.
var unknown = observe.New(defaultName, stats.NewHandles(true), nil)

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
			inner, _ := v.Field(i).Interface().(Cache)
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
	errNotFound := settingsOf(c).errNotFound
	get := c.Get
	if opts.skipLocal {
		get = c.GetSkippingLocal
	}
	set := func(key string, what ItemOption) error {
		return c.Set(ctx, key, append(opts.options(), what)...)
	}
	keys := e.keys
	state := make([]slotState, len(keys))
	var errs []error
	var open []int
	for i, key := range keys {
		var v V
		switch err := get(ctx, key, &v); {
		case err == nil:
			e.values[i], state[i] = v, slotSet
		case errors.Is(err, errNotFound):
			state[i] = slotAbsent
		case errors.Is(err, ErrRemoteLocalBothNil):
			return state, err
		default: // a miss, or something that the loader makes up for
			if !errors.Is(err, ErrCacheMiss) {
				errs = append(errs, err)
			}
			open = append(open, i)
		}
	}
	switch {
	case len(open) == 0:
		return state, errors.Join(errs...)
	case ctx.Err() != nil:
		return state, errors.Join(append(errs, ctx.Err())...)
	case !e.loads():
		for _, i := range open {
			state[i] = slotFailed
			errs = append(errs, missing(keys[i]))
		}
		return state, errors.Join(errs...)
	}

	found, err := flight.Run(ctx, func(ctx context.Context) ([]bool, error) { return e.load(ctx, open) })
	if err != nil {
		errs = append(errs, fmt.Errorf("cache: loading %d keys: %w", len(open), err))
	}
	for n, i := range open {
		switch {
		case n < len(found) && found[n]:
			state[i] = slotSet
			if err == nil {
				errs = append(errs, set(keys[i], Value(wrappedForm(c, e.values[i]))))
			}
		case err == nil:
			state[i] = slotAbsent
			err := set(keys[i], Do(func(context.Context) (any, error) { return nil, errNotFound }))
			if !errors.Is(err, errNotFound) { // else that cache knows another error, and keeps no placeholder
				errs = append(errs, err)
			}
		default:
			state[i] = slotFailed
		}
	}
	return state, errors.Join(errs...)
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
