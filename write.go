package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
)

func (c *jetCache) Set(ctx context.Context, key string, opts ...ItemOption) error {
	return c.set(ctx, key, newItem(opts))
}

func (c *jetCache) set(ctx context.Context, key string, it item) error {
	ctx, err := c.begin(ctx, key)
	if err != nil {
		return err
	}
	if it.do == nil {
		data, err := c.encodeForSet(key, it.value)
		if err != nil {
			return err
		}
		w, err := c.flights.BeginWrite(ctx, key)
		return c.write(ctx, key, data, c.lifetimes(it.ttl), it, c.remote.plainGuard(), w, err)
	}

	note := c.flights.Note(key)
	defer note.Release()
	g := c.remote.plainGuard()
	if it.ttl >= 0 {
		g = c.remote.guard(ctx, key)
	}
	v, err := c.callLoader(ctx, it.do)
	data, life := placeholder, c.placeholderLifetimes(it.ttl)
	switch {
	case err == nil:
		life = c.lifetimes(it.ttl)
		if data, err = c.encodeForSet(key, v); err != nil {
			return err
		}
	case !c.isNotFound(err):
		return err
	}
	w, precedence, err := note.BeginWrite(ctx)
	switch {
	case err != nil || precedence == flight.Current:
		return c.write(ctx, key, data, life, it, g, w, err)
	case precedence == flight.Superseded, it.condition != always:
		w.End(nil) // as if this Set had come just before what came in between
		return nil
	case life.remote <= 0: // the remote is not ours to change
		w.End(func(bool) bool { c.local.del(key); return true })
		return nil
	}
	return c.remove(ctx, key, w, nil)
}

func (c *jetCache) encodeForSet(key string, v any) ([]byte, error) {
	data, err := c.encode(key, v)
	if err == nil && isPlaceholder(data) {
		err = fmt.Errorf("%w: key %q", ErrReservedValue, key)
	}
	return data, err
}

// write carries out a Set whose write has begun, or failed to begin with err. If the guard says
// that another node was faster, it deletes the key.
func (c *jetCache) write(ctx context.Context, key string, data []byte, life lifetimes, it item, g guard, w flight.Write[outcome], err error) error {
	if err != nil {
		if c.remote.exists() && life.remote > 0 { // first: who reads from now on is not to trust it
			c.remote.fences.repairs.add([]string{key}, err)
		}
		c.flights.Invalidate(key, func() { c.local.del(key) })
		return fmt.Errorf("cache: waiting to write %q: %w", key, err)
	}
	began := time.Now()
	event, done := EventTypeSet, false // no event: nothing has changed
	func() {
		defer w.End(func(overtaken bool) (changed bool) {
			switch {
			case !done || err != nil:
				c.local.del(key)
				return false
			case event == 0:
				return false
			case overtaken || event == EventTypeDelete:
				c.local.del(key)
			case !c.keepLocal(key, data, life.since(began), it, g):
				event = 0
			}
			return event != 0
		})
		if c.remote.exists() && life.remote > 0 {
			event, err = c.writeRemote(ctx, key, data, life.remote, it.condition, g)
		}
		done = true // otherwise the remote panicked
	}()
	if err != nil {
		return fmt.Errorf("cache: writing %q: %w", key, err)
	}
	if event == 0 {
		return nil
	}
	c.emit(event, key)
	return c.tell(ctx, event, key)
}

// writeRemote is the part of a Set that concerns the remote. It returns the event to tell of,
// zero if nothing was changed.
func (c *jetCache) writeRemote(ctx context.Context, key string, data []byte, expire time.Duration, cond condition, g guard) (EventType, error) {
	fill, err := c.remote.change(ctx, key, data, expire, cond, g)
	switch {
	case err != nil:
		return 0, err
	case fill == fillStored:
		return EventTypeSet, nil
	case fill == fillRefused && cond == always:
		// As of two Sets with Do on one node: which value is the newest is not known.
		return EventTypeDelete, c.remote.del(ctx, key)
	}
	return 0, nil
}

func (c *jetCache) Delete(ctx context.Context, key string) error {
	ctx, err := c.begin(ctx, key)
	if err != nil {
		return err
	}
	c.refresh.forget(key)
	w, err := c.flights.BeginWrite(ctx, key)
	return c.remove(ctx, key, w, err)
}

// remove carries out a Delete whose write has begun, or failed to begin with err.
func (c *jetCache) remove(ctx context.Context, key string, w flight.Write[outcome], err error) error {
	drop := func() { c.local.del(key) }
	if err != nil {
		c.remote.fences.repairs.add([]string{key}, err) // first: who reads from now on is not to trust it
		c.flights.Invalidate(key, drop)
		return fmt.Errorf("cache: waiting to delete %q: %w", key, err)
	}
	func() {
		defer w.End(func(bool) bool { drop(); return err == nil }) // also if the remote panics
		if c.remote.exists() {
			err = c.remote.del(ctx, key)
		}
	}()
	if err != nil {
		return fmt.Errorf("cache: deleting %q: %w", key, err)
	}
	c.emit(EventTypeDelete, key)
	return c.tell(ctx, EventTypeDelete, key)
}

func (c *jetCache) DeleteFromLocalCache(key string) {
	if c.local.exists() && checkKey(key) == nil {
		c.flights.Invalidate(key, func() { c.local.del(key) })
	}
}
