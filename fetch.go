package cache

import (
	"context"

	"github.com/mgtv-tech/jetcache-go/local"
)

// hit looks for a key in a local store that keeps values. It returns the value that is kept,
// if there is one, and otherwise what fetch goes on with: the key, and its entry if there is
// one. It allocates nothing.
func hit[K comparable, V any](c *jetCache, prefix string, id K) (*decoded[V], *keyBuffer, *local.Entry) {
	b := newKeyBuffer(prefix, c.separator, id)
	if c.local.entries == nil {
		return nil, b, nil
	}
	e, ok := c.local.getEntry(b.view())
	if !ok {
		return nil, b, nil
	}
	d := keptIn[V](c, e)
	if d == nil {
		return nil, b, e
	}
	b.release()
	c.count.localHit()
	return d, nil, nil
}

// fetch goes on where hit has found no value that is kept.
func fetch[K comparable, V any](ctx context.Context, c *jetCache, b *keyBuffer, e *local.Entry, id K, fn func(ctx context.Context, id K) (V, error), it item) (V, error) {
	v, a, err := localValue[V](c, b, e)
	if a != nothing {
		b.release()
		c.count.localHit()
		if a == absent {
			err = c.errNotFound
		}
		return v, err
	}
	key := b.key()
	b.release()
	return load(ctx, c, key, id, fn, it)
}

// localValue returns what the local level has under the key in b; e is the key's entry, if
// that is known. The error is that of damaged bytes.
func localValue[V any](c *jetCache, b *keyBuffer, e *local.Entry) (v V, a answer, err error) {
	if c.local.entries != nil {
		if e == nil {
			return v, nothing, nil
		}
		return valueOf[V](c, b.view(), e)
	}
	key := b.view()
	if !c.local.borrows {
		key = b.key()
	}
	data, ok := c.local.get(key)
	if !ok {
		return v, nothing, nil
	}
	return decodeBytes[V](c, key, data)
}

// load is the rest of a read: everything but a plain hit in the local level.
func load[K comparable, V any](ctx context.Context, c *jetCache, key string, id K, fn func(ctx context.Context, id K) (V, error), it item) (V, error) {
	var zero V
	ctx, err := c.begin(ctx, key)
	if err != nil {
		return zero, err
	}
	it.do = loaderOf(id, fn)
	out, led, err := c.fly(ctx, key, it)
	if err == nil {
		err = c.without(out)
	}
	if err != nil {
		return zero, err
	}
	if !led && c.local.entries != nil && !it.skipLocal {
		// Many may have waited for it: one decodes, if the others can share that.
		if e, ok := c.local.entries.GetEntry(key); ok && e.Holds(out.data) {
			v, _, err := valueOf[V](c, key, e)
			return v, err
		}
	}
	return decodeValue[V](c, key, out.data)
}

// keepFresh has the key refreshed. What is wrong with it the read will tell.
func keepFresh[K comparable, V any](c *jetCache, key string, id K, fn func(ctx context.Context, id K) (V, error), it item) {
	if c.CacheType() != "" && c.checkKey(key) == nil {
		it.do = loaderOf(id, fn)
		c.refresh.touch(key, it)
	}
}

// loaderOf returns the loader of one id, nil if fn is.
func loaderOf[K comparable, V any](id K, fn func(ctx context.Context, id K) (V, error)) DoFunc {
	if fn == nil {
		return nil
	}
	return func(ctx context.Context) (any, error) { return fn(ctx, id) }
}

// fetchThrough is fetch by the methods of any Cache.
func (t *T[K, V]) fetchThrough(ctx context.Context, prefix string, id K, fn func(ctx context.Context, id K) (V, error), it item) (V, error) {
	var v, zero V
	opts := append(it.options(), Value(&v), Do(loaderOf(id, fn)))
	if err := t.Cache.Once(ctx, t.key(prefix, id), opts...); err != nil {
		return zero, err
	}
	return v, nil
}
