package cache

import (
	"context"

	"github.com/mgtv-tech/jetcache-go/local"
)

// hit looks for a key in a local store that keeps decoded values. It returns the value, if one is
// kept. Otherwise it returns what fetch goes on with: the key, and its entry if there is one. It
// allocates nothing.
func hit[K comparable, V any](c *jetCache, prefix string, id K) (*decoded[V], *keyBuffer, *local.Entry) {
	b := newKeyBuffer(prefix, c.separator, id)
	if !c.local.KeepsValues() {
		return nil, b, nil
	}
	e, ok := c.local.Entry(b.view())
	if !ok {
		return nil, b, nil
	}
	d := keptIn[V](c, e)
	if d == nil {
		return nil, b, e
	}
	b.release()
	c.observe.LocalHit()
	return d, nil, nil
}

// fetch goes on where hit has found no decoded value.
func fetch[K comparable, V any](ctx context.Context, c *jetCache, b *keyBuffer, e *local.Entry, r idRead[K, V]) (V, error) {
	v, a, err := localValue[V](c, b, e)
	if a != nothing && (a != damaged || r.fn == nil) {
		if r.opts.explain != nil {
			*r.opts.explain = c.explainLocal(b.view())
		}
		b.release()
		c.observe.LocalHit()
		if a == absent {
			err = c.errNotFound
		}
		return v, err
	}
	key := b.key()
	b.release()
	s := newSingle(c, key, r.item())
	s.reload = a == damaged
	return fetchSingle[V](ctx, s)
}

// localValue returns what the local level has under the key in b. e is the key's entry, if that
// is known. The error is that of damaged bytes.
func localValue[V any](c *jetCache, b *keyBuffer, e *local.Entry) (v V, a answer, err error) {
	if c.local.KeepsValues() {
		if e == nil {
			return v, nothing, nil
		}
		return valueOf[V](c, b.view(), e)
	}
	key := b.view()
	if !c.local.Borrows() {
		key = b.key()
	}
	data, ok := c.local.GetUnlessEarly(key)
	if !ok {
		return v, nothing, nil
	}
	return decodeBytes[V](c, key, data)
}

// idRead is a read of T for one id.
type idRead[K comparable, V any] struct {
	id   K
	fn   func(ctx context.Context, id K) (V, error) // nil if there is no loader
	opts item
}

// item returns the options of the read with its loader.
func (r idRead[K, V]) item() item {
	opts := r.opts
	if r.fn != nil {
		opts.do = func(ctx context.Context) (any, error) {
			v, err := r.fn(ctx, r.id)
			return codecForm(v), err
		}
	}
	return opts
}

// fetchSingle is the rest of a read: everything but a plain hit in the local level.
func fetchSingle[V any](ctx context.Context, s *single) (v V, err error) {
	if ctx, err = s.c.begin(ctx, s.key); err != nil {
		return v, err
	}
	for {
		out, err := s.read(ctx)
		if err == nil {
			err = s.c.without(out)
		}
		if err != nil {
			return v, err
		}
		if v, err = outcomeValue[V](s, out.Data); err == nil {
			return v, nil
		}
		if s.loaded() {
			return ownValue[V](s, err)
		}
		if !s.reloads() {
			return v, err
		}
	}
}

// outcomeValue decodes what a read has found or loaded.
func outcomeValue[V any](s *single, data []byte) (V, error) {
	if !s.led && s.c.local.KeepsValues() && !s.opts.skipLocal {
		// Many callers may have waited for it. One decodes, if the others can share that.
		e, ok := s.c.local.Entry(s.key)
		if !ok { // its early time may have begun; see WithEarlyRefresh
			lived, _ := s.c.local.Lived(s.key)
			e = lived.Entry
		}
		if e != nil && e.Holds(data) {
			v, _, err := valueOf[V](s.c, s.key, e)
			return v, err
		}
	}
	return decodeValue[V](s.c, s.key, data)
}

// ownValue returns what the caller's own loader has returned, the stored form of which cannot be
// decoded because of err.
func ownValue[V any](s *single, err error) (V, error) {
	own := s.value
	if through, ok := own.(throughCodec); ok {
		own = through.value
	}
	v, ok := own.(V)
	if !ok {
		return v, err
	}
	s.c.reportUndecodable(s.key, err)
	return v, nil
}
