package cache

import (
	"context"
	"errors"
	"fmt"
	"reflect"
)

// settings are what T has to know of a cache to use it from outside.
type settings struct {
	name        string
	separator   string
	errNotFound error
}

func (s settings) key(prefix, id string) string { return prefix + s.separator + id }

// settingsOf returns the settings of c, or of the cache that c wraps: the result of a
// method Unwrap() Cache, or an embedded Cache. Where it finds none, it takes the defaults.
func settingsOf(c Cache) settings {
	for {
		if c, ok := c.(*jetCache); ok {
			return settings{c.name, c.separator, c.errNotFound}
		}
		inner := unwrap(c)
		if inner == nil {
			return settings{defaultName, defaultSeparator, ErrNotFound}
		}
		c = inner
	}
}

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
	// A field that embeds the interface is named after it.
	f := v.FieldByName("Cache")
	if !f.IsValid() || !f.CanInterface() {
		return nil
	}
	inner, _ := f.Interface().(Cache)
	return inner
}

// mgetThrough is mget by the methods of any Cache, one call for each key. Ids are not
// coalesced with those of other calls.
func mgetThrough[K comparable, V any](ctx context.Context, c Cache, keys []string, e *entities[K, V]) ([]slotState, error) {
	errNotFound := settingsOf(c).errNotFound
	state := make([]slotState, len(keys))
	var errs []error
	var open []int
	for i, key := range keys {
		var v V
		switch err := c.Get(ctx, key, &v); {
		case err == nil:
			e.values[i], state[i] = v, slotSet
		case errors.Is(err, errNotFound):
			state[i] = slotAbsent
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
			errs = append(errs, missing(keys[i], nil))
		}
		return state, errors.Join(errs...)
	}

	found, err := e.load(ctx, open)
	if err != nil {
		errs = append(errs, fmt.Errorf("cache: loading %d keys: %w", len(open), err))
	}
	for n, i := range open {
		switch {
		case found[n]:
			state[i] = slotSet
			if err == nil {
				errs = append(errs, c.Set(ctx, keys[i], Value(e.values[i])))
			}
		case err == nil:
			state[i] = slotAbsent
			errs = append(errs, c.Set(ctx, keys[i], Do(func(context.Context) (any, error) { return nil, errNotFound })))
		default:
			state[i] = slotFailed
		}
	}
	return state, errors.Join(errs...)
}
