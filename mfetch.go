package cache

import (
	"context"
	"errors"

	"github.com/mgtv-tech/jetcache-go/local"
)

// idsRead is a read of T for many ids.
type idsRead[K comparable, V any] struct {
	prefix string
	ids    []K
	fn     func(ctx context.Context, ids []K) (map[K]V, error) // nil if there is no loader
	opts   item
}

// mfetch is a batch read of T.
func (t *T[K, V]) mfetch(ctx context.Context, r idsRead[K, V]) (found map[K]V, err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if len(r.ids) == 0 {
		return map[K]V{}, nil
	}
	c, ok := t.Cache.(*jetCache)
	if ok && c.CacheType() == "" {
		return map[K]V{}, ErrRemoteLocalBothNil
	}
	var refused error
	r.ids, refused = withOwnKey(r.ids, func(id K) string { return t.Key(r.prefix, id) })
	switch {
	case len(r.ids) == 0:
		found = map[K]V{}
	case ok:
		found, err = r.from(ctx, c)
	default:
		found, err = r.through(ctx, t)
	}
	if refused != nil {
		err = errors.Join(refused, err)
	}
	return found, err
}

// from reads from a cache that New made.
func (r idsRead[K, V]) from(ctx context.Context, c *jetCache) (map[K]V, error) {
	found := make(map[K]V, len(r.ids))
	if r.opts.refresh {
		r.keepFresh(c)
	}
	var infos map[K]Info
	if each := r.opts.explainEach; each != nil {
		infos = make(map[K]Info, len(r.ids))
		defer func() {
			for i, id := range r.ids {
				info, ok := infos[id]
				if !ok {
					info = explainID(c, r.prefix, id) // a hit in the local level
				}
				each(i, info)
			}
		}()
	}
	var open []K
	if c.local.Exists() && !r.opts.skipLocal {
		if open = r.lookLocally(c, found); len(open) == 0 {
			return found, nil
		}
	} else {
		open = distinct(r.ids)
	}
	e := newEntities(open, r.fn)
	e.decodeInto, e.infos = c.decode, infos
	b := newKeyBuffer(r.prefix, c.separator, open[0])
	for i, id := range open {
		b.text = appendKey(b.text[:0], r.prefix, c.separator, id)
		e.keys[i] = b.key()
	}
	b.release()
	state, err := c.mget(ctx, e.keys, e, r.opts)
	e.collect(found, state)
	return found, err
}

// lookLocally puts into found what the local level has. It returns the other ids, each once.
func (r idsRead[K, V]) lookLocally(c *jetCache, found map[K]V) (rest []K) {
	var gone, open map[K]struct{} // the ids that have been seen, and are not in found
	b := newKeyBuffer(r.prefix, c.separator, r.ids[0])
	defer b.release()
	for _, id := range r.ids {
		b.text = appendKey(b.text[:0], r.prefix, c.separator, id)
		var e *local.Entry
		if c.local.KeepsValues() {
			e, _ = c.local.Entry(b.view())
		}
		v, a, _ := localValue[V](c, b, e) // damaged bytes are loaded again
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

// add puts id into a set. It reports false if it was there.
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

// keepFresh has each of the ids refreshed, by calls of fn for one id.
func (r idsRead[K, V]) keepFresh(c *jetCache) {
	for _, id := range r.ids {
		b := newKeyBuffer(r.prefix, c.separator, id)
		key := b.key()
		b.release()
		if c.checkKey(key) != nil {
			continue // the read reports it
		}
		opts := r.opts
		if r.fn != nil {
			opts.do = r.loaderOf(id, c.errNotFound)
		}
		c.keepFresh(key, opts)
	}
}

// loaderOf returns the loader of one id.
func (r idsRead[K, V]) loaderOf(id K, errNotFound error) DoFunc {
	fn := r.fn
	return func(ctx context.Context) (any, error) {
		got, err := fn(ctx, []K{id})
		if err != nil {
			return nil, err
		}
		v, ok := got[id]
		if !ok {
			return nil, errNotFound
		}
		return codecForm(v), nil
	}
}

// entities are the slots of a typed batch.
type entities[K comparable, V any] struct {
	ids    []K
	keys   []string
	values []V
	fn     func(ctx context.Context, ids []K) (map[K]V, error)

	decodeInto func(key string, data []byte, dst any) error
	infos      map[K]Info // nil if nobody asks
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

func (e *entities[K, V]) explain(i int, info Info) { e.infos[e.ids[i]] = info }

func (e *entities[K, V]) apart(indices []int) slots {
	ids := make([]K, len(indices))
	for n, i := range indices {
		ids[n] = e.ids[i]
	}
	own := newEntities(ids, e.fn)
	own.decodeInto = e.decodeInto
	for n, i := range indices {
		own.keys[n] = e.keys[i]
	}
	return own
}

func (e *entities[K, V]) adopt(i int, from slots, n int) {
	e.values[i] = from.(*entities[K, V]).values[n]
}

func (e *entities[K, V]) load(ctx context.Context, indices []int) (set func() (found []bool), err error) {
	ask := make([]K, len(indices))
	for n, i := range indices {
		ask[n] = e.ids[i]
	}
	got, err := e.fn(ctx, ask)
	return func() []bool {
		found := make([]bool, len(indices))
		for n, i := range indices {
			if v, ok := got[e.ids[i]]; ok {
				e.values[i], found[n] = v, true
			}
		}
		return found
	}, err
}
