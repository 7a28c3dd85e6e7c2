package cache

import (
	"context"
	"errors"

	"github.com/mgtv-tech/jetcache-go/local"
)

// mfetch is a batch read of T.
func (t *T[K, V]) mfetch(ctx context.Context, prefix string, ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error), opts item) (map[K]V, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if len(ids) == 0 {
		return map[K]V{}, nil
	}
	c, ok := t.Cache.(*jetCache)
	if ok && c.CacheType() == "" {
		return map[K]V{}, ErrRemoteLocalBothNil
	}
	ids, refused := withOwnKey(ids, func(id K) string { return t.Key(prefix, id) })
	var found map[K]V
	var err error
	switch {
	case len(ids) == 0:
		found = map[K]V{}
	case ok:
		found, err = mfetchFrom(ctx, c, prefix, ids, fn, opts)
	default:
		found, err = t.mfetchThrough(ctx, prefix, distinct(ids), fn, opts)
	}
	if refused != nil {
		err = errors.Join(refused, err)
	}
	return found, err
}

// mfetchFrom is mfetch from a cache that New made.
func mfetchFrom[K comparable, V any](ctx context.Context, c *jetCache, prefix string, ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error), opts item) (map[K]V, error) {
	found := make(map[K]V, len(ids))
	if opts.refresh {
		touchAll(c, prefix, ids, fn, opts)
	}
	if c.local.Exists() && !opts.skipLocal {
		if ids = lookLocally(c, prefix, ids, found); len(ids) == 0 {
			return found, nil
		}
	} else {
		ids = distinct(ids)
	}

	e := newEntities(ids, fn)
	e.decodeInto = c.decode
	b := newKeyBuffer(prefix, c.separator, ids[0])
	for i, id := range ids {
		b.text = appendKey(b.text[:0], prefix, c.separator, id)
		e.keys[i] = b.key()
	}
	b.release()
	state, err := c.mget(ctx, e.keys, e, opts)
	e.collect(found, state)
	return found, err
}

// lookLocally puts into found what the local level has of ids. It returns the rest, each once.
func lookLocally[K comparable, V any](c *jetCache, prefix string, ids []K, found map[K]V) (rest []K) {
	var gone, open map[K]struct{} // the ids that have been seen, and are not in found
	b := newKeyBuffer(prefix, c.separator, ids[0])
	defer b.release()
	for _, id := range ids {
		b.text = appendKey(b.text[:0], prefix, c.separator, id)
		var e *local.Entry
		if c.local.KeepsValues() {
			e, _ = c.local.Entry(b.view())
		}
		v, a, _ := localValue[V](c, b, e) // what is damaged is loaded again
		switch a {
		case value:
			before := len(found)
			if found[id] = v; len(found) > before { // otherwise the id is there twice
				c.observe.LocalHit()
			}
		case absent:
			if add(&gone, id) {
				c.observe.LocalHit()
			}
		default:
			if add(&open, id) {
				rest = append(rest, id)
			}
		}
	}
	return rest
}

// add puts id into a set; it reports false if it was there.
func add[K comparable](set *map[K]struct{}, id K) bool {
	if _, ok := (*set)[id]; ok {
		return false
	}
	if *set == nil {
		*set = make(map[K]struct{})
	}
	(*set)[id] = struct{}{}
	return true
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

// touchAll has each of ids refreshed, by calls of fn for one id.
func touchAll[K comparable, V any](c *jetCache, prefix string, ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error), opts item) {
	for _, id := range ids {
		b := newKeyBuffer(prefix, c.separator, id)
		key := b.key()
		b.release()
		if c.checkKey(key) != nil {
			continue // reported by the read
		}
		opts := opts
		if fn != nil {
			opts.do = func(ctx context.Context) (any, error) {
				got, err := fn(ctx, []K{id})
				if err != nil {
					return nil, err
				}
				v, ok := got[id]
				if !ok {
					return nil, c.errNotFound
				}
				return codecForm(v), nil
			}
		}
		c.keepFresh(key, opts)
	}
}

// entities are the slots of a typed batch.
type entities[K comparable, V any] struct {
	ids    []K
	keys   []string
	values []V
	fn     func(ctx context.Context, ids []K) (map[K]V, error)

	decodeInto func(key string, data []byte, dst any) error
}

func newEntities[K comparable, V any](ids []K, fn func(ctx context.Context, ids []K) (map[K]V, error)) *entities[K, V] {
	return &entities[K, V]{ids: ids, keys: make([]string, len(ids)), values: make([]V, len(ids)), fn: fn}
}

// collect puts the values that are there into found.
func (e *entities[K, V]) collect(found map[K]V, state []slotState) {
	for i, st := range state {
		if st == slotSet {
			found[e.ids[i]] = e.values[i]
		}
	}
}

func (e *entities[K, V]) decode(i int, data []byte) error {
	err := e.decodeInto(e.keys[i], data, &e.values[i])
	if err != nil {
		var zero V
		e.values[i] = zero // it may be half of something
	}
	return err
}

func (e *entities[K, V]) loads() bool { return e.fn != nil }

func (e *entities[K, V]) value(i int) any { return codecForm(e.values[i]) }

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
