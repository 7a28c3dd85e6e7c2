package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// batchWrite is one key of a batch that is written.
type batchWrite struct {
	key   string
	value any
	data  []byte
	lane  flight.Write[outcome]
}

// admit returns the writes that can be made, and why others cannot; or why none can.
func (c *jetCache) admit(writes []batchWrite) (admitted []batchWrite, errs []error, err error) {
	if len(writes) > 0 && c.CacheType() == "" {
		return nil, nil, ErrRemoteLocalBothNil
	}
	for _, w := range writes {
		if err := c.checkKey(w.key); err != nil {
			errs = append(errs, err)
			continue
		}
		admitted = append(admitted, w)
	}
	return admitted, errs, nil
}

// mset is Set for many keys, in one call to the remote.
func (c *jetCache) mset(ctx context.Context, writes []batchWrite, it item) error {
	writes, errs, err := c.admit(writes)
	if err != nil {
		return err
	}
	encoded := writes[:0]
	for _, w := range writes {
		var err error
		if w.data, err = c.encodeForSet(w.key, w.value); err != nil {
			errs = append(errs, err)
			continue
		}
		encoded = append(encoded, w)
	}
	life, g := c.lifetimes(it.ttl), c.remote.plainGuard()
	errs = append(errs, c.mwrite(ctx, encoded, "writing", EventTypeSet,
		func(ctx context.Context, writes []batchWrite) error {
			if life.remote <= 0 {
				return nil
			}
			items := make([]remote.Item, len(writes))
			for i, w := range writes {
				items[i] = remote.Item{Key: w.key, Data: w.data, Expire: life.remote}
			}
			return c.remote.mchange(ctx, items)
		},
		func(w *batchWrite, began time.Time) { c.keepLocal(w.key, w.data, life.since(began), it, g) },
	))
	return errors.Join(errs...)
}

// mdelete is Delete for many keys, in one call to the remote.
func (c *jetCache) mdelete(ctx context.Context, writes []batchWrite) error {
	writes, errs, err := c.admit(writes)
	if err != nil {
		return err
	}
	for _, w := range writes {
		c.refresh.forget(w.key)
	}
	errs = append(errs, c.mremove(ctx, writes, "deleting", c.remote.mdel))
	return errors.Join(errs...)
}

// mremove removes the keys of writes from both levels, from the remote by one call of remove.
func (c *jetCache) mremove(ctx context.Context, writes []batchWrite, doing string, remove func(ctx context.Context, keys []string) error) error {
	return c.mwrite(ctx, writes, doing, EventTypeDelete,
		func(ctx context.Context, writes []batchWrite) error { return remove(ctx, keysOf(writes)) },
		func(w *batchWrite, _ time.Time) { c.local.del(w.key) },
	)
}

// mwrite changes the keys of writes in the remote by one call of change, which gets each key
// once, and then each in the local level by apply. If the remote fails, or a key cannot be
// waited for, it drops all of them from the local level.
func (c *jetCache) mwrite(ctx context.Context, writes []batchWrite, doing string, event EventType, change func(ctx context.Context, writes []batchWrite) error, apply func(w *batchWrite, began time.Time)) error {
	if len(writes) == 0 {
		return nil
	}
	if ctx == nil {
		ctx = context.Background()
	}
	// Who waits for a lane while holding others must not be waited for by who holds that one:
	// all batches take them in the order of the keys.
	slices.SortFunc(writes, func(a, b batchWrite) int { return cmp.Compare(a.key, b.key) })
	writes = slices.CompactFunc(writes, func(a, b batchWrite) bool { return a.key == b.key })

	var err error
	done := false
	changed := make([]string, 0, len(writes))
	func() {
		var start time.Time
		for i := range writes {
			w := &writes[i]
			if w.lane, err = c.flights.BeginWrite(ctx, w.key); err != nil {
				c.remote.fences.repairs.add(keysOf(writes), err) // first: who reads from now on is not to trust it
				for _, w := range writes[i:] {
					c.flights.Invalidate(w.key, func() { c.local.del(w.key) })
				}
				err = fmt.Errorf("cache: waiting for %q to be free, before %s %d keys: %w", w.key, doing, len(writes), err)
				return
			}
			// Each by itself, so that a panic, of the remote or at another key, leaves none blocked.
			defer w.lane.End(func(overtaken bool) bool {
				if err != nil || !done || overtaken {
					c.local.del(w.key)
					return done && err == nil
				}
				apply(w, start)
				return true
			})
		}
		start = time.Now()
		if c.remote.exists() {
			if err = change(ctx, writes); err != nil {
				err = fmt.Errorf("cache: %s %d keys: %w", doing, len(writes), err)
			}
		}
		done = true
	}()
	if err != nil {
		return err
	}
	for i := range writes {
		changed = append(changed, writes[i].key)
	}
	c.emit(event, changed...)
	return c.tell(ctx, event, changed...)
}

func keysOf(writes []batchWrite) []string {
	keys := make([]string, len(writes))
	for i, w := range writes {
		keys[i] = w.key
	}
	return keys
}
