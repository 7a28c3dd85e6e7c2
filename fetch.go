package cache

import "context"

// fetch is a read of T. A hit in the local level allocates nothing but what decoding takes,
// if there is decoding: everything else is left to load.
func (t *T[K, V]) fetch(ctx context.Context, prefix string, id K, fn func(ctx context.Context, id K) (V, error), it item) (V, error) {
	c, ok := t.Cache.(*jetCache)
	if !ok {
		return t.fetchThrough(ctx, prefix, id, fn, it)
	}
	b := newKeyBuffer(prefix, c.separator, id)
	if c.local.exists() && !it.skipLocal && !it.refresh && checkKey(b.view()) == nil {
		if v, there, err := localValue[V](c, b); there {
			b.release()
			c.count.localHit()
			return v, err
		}
	}
	key := b.key()
	b.release()
	return load(ctx, c, key, id, fn, it)
}

// localValue returns what the local level has under the key in b: a value, or the error of a
// placeholder or of bytes that cannot be decoded.
func localValue[V any](c *jetCache, b *keyBuffer) (v V, there bool, err error) {
	if c.local.entries != nil {
		e, ok := c.local.entries.GetEntry(b.view())
		if !ok {
			return v, false, nil
		}
		v, err = valueOf[V](c, b.view(), e)
		return v, true, err
	}
	var key string
	if c.local.borrows {
		key = b.view()
	} else {
		key = b.key()
	}
	data, ok := c.local.get(key)
	if !ok {
		return v, false, nil
	}
	v, err = decodeBytes[V](c, key, data)
	return v, true, err
}

// decodeBytes returns what stored bytes mean.
func decodeBytes[V any](c *jetCache, key string, data []byte) (V, error) {
	var v V
	if err := c.deliver(key, data, &v); err != nil {
		var zero V
		return zero, err
	}
	return v, nil
}

// load is the rest of fetch: everything but a plain hit in the local level.
func load[K comparable, V any](ctx context.Context, c *jetCache, key string, id K, fn func(ctx context.Context, id K) (V, error), it item) (V, error) {
	var v, zero V
	ctx, err := c.begin(ctx, key)
	if err != nil {
		return zero, err
	}
	it.value, it.do = &v, loaderOf(id, fn)
	if it.refresh {
		err = c.once(ctx, key, it)
	} else {
		err = c.fly(ctx, key, it)
	}
	if err != nil {
		return zero, err
	}
	return v, nil
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
