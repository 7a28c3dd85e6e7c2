package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
)

// slots are the values of a batch, by index; they know the type that the engine does not.
// A slot is used by one goroutine at a time.
type slots interface {
	// decode sets value i from stored bytes; with an error it leaves the value alone.
	decode(i int, data []byte) error
	// load calls the batch's loader for the values at indices and sets those it returns.
	load(ctx context.Context, indices []int) (found []bool, err error)
	// loads reports whether there is a loader.
	loads() bool
	// value returns value i.
	value(i int) any
}

// slotState is what is known of a slot.
type slotState uint8

const (
	slotOpen   slotState = iota // nothing yet
	slotSet                     // its value is there
	slotAbsent                  // the record does not exist
	slotFailed                  // nothing will come; there is an error
)

// batch is one call of MGetWithErr: the caller's side.
type batch struct {
	c     *jetCache
	it    item
	keys  []string
	slots slots
	state []slotState
	errs  []error
	// damaged holds, by index, why what another's flight found could not be decoded. Such
	// a key is loaded, once, without a look at the levels.
	damaged map[int]error
	tries   int
}

// mget fills slots for keys that the local level has just been asked for, if the item allows
// that, and says for each what became of it. What could be had is there also when there is an
// error.
func (c *jetCache) mget(ctx context.Context, keys []string, s slots, it item) ([]slotState, error) {
	b := &batch{c: c, it: it, keys: keys, slots: s, state: make([]slotState, len(keys))}
	open := make([]int, 0, len(keys))
	for i, key := range keys {
		if err := c.checkKey(key); err != nil {
			b.fail(i, err)
		} else {
			open = append(open, i)
		}
	}
	for len(open) > 0 {
		if err := ctx.Err(); err != nil {
			b.errs = append(b.errs, err)
			break
		}
		var err error
		if open, err = b.round(ctx, open); err != nil {
			b.errs = append(b.errs, err)
			break
		}
	}
	return b.state, errors.Join(b.errs...)
}

// useLocal reports whether the batch reads and fills the local level.
func (b *batch) useLocal() bool { return b.c.local.exists() && !b.it.skipLocal }

func (b *batch) fail(i int, err error) {
	b.state[i] = slotFailed
	b.errs = append(b.errs, err)
}

// take sets slot i from stored bytes. With an error, they cannot be decoded.
func (b *batch) take(i int, out outcome) error {
	if out.kind == outcomeNotFound {
		b.state[i] = slotAbsent
		return nil
	}
	err := b.slots.decode(i, out.data)
	if err == nil {
		b.state[i] = slotSet
	}
	return err
}

// round claims the open keys, has those loaded that nobody else is loading, and waits
// for the others. It returns the indices of keys that have to be claimed again. An error
// ends the batch: ctx's, or that of a load that went wrong as a whole.
func (b *batch) round(ctx context.Context, open []int) (again []int, err error) {
	keys := make([]string, len(open))
	for n, i := range open {
		keys[n] = b.keys[i]
	}
	claims := b.c.flights.Claim(ctx, keys)
	defer claims.Leave()
	if len(claims.Owned) > 0 {
		l := newBatchLoad(b, claims, open)
		claims.Start(l.run)
		ended, err := claims.Wait(ctx)
		if !ended {
			return nil, err // l may go on for others: it is not to be read
		}
		l.report(b, err)
	}
	if b.c.remote.exists() && len(claims.Background) > 0 {
		b.readBackground(ctx, claims, open)
	}
	for n, owner := range claims.Joined {
		i := open[owner]
		if b.state[i] != slotOpen {
			continue
		}
		out, err := claims.WaitJoined(ctx, n)
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		if isContextError(err) && b.tries < maxTries { // the leader's loader ended with the leader's own ctx
			b.tries++
			again = append(again, i)
		} else if !b.takeOutcome(i, out, err) {
			again = append(again, i)
		}
	}
	return again, nil
}

// readBackground takes what the remote has of the keys that a refresh is loading.
func (b *batch) readBackground(ctx context.Context, claims *flight.Batch[outcome], open []int) {
	keys := make([]string, len(claims.Background))
	for n, joined := range claims.Background {
		keys[n] = b.keys[open[claims.Joined[joined]]]
	}
	useLocal := b.useLocal()
	notes := make([]flight.Note[outcome], 0, len(keys))
	for _, key := range keys {
		note := b.c.flights.Note(key)
		defer note.Release()
		notes = append(notes, note)
	}
	found, err := b.c.remote.mget(ctx, keys, useLocal)
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("cache: reading %d keys: %w", len(keys), err))
	}
	for n, joined := range claims.Background {
		v, ok := found.get(keys[n])
		if !ok || b.take(open[claims.Joined[joined]], stored(v.data, fromRemote)) != nil {
			continue
		}
		if useLocal {
			b.c.count.localMiss()
			b.c.fillRead(notes[n], keys[n], v)
		}
		b.c.count.remoteHit()
	}
}

// takeOutcome takes the result of another's flight; it reports false if this batch has to
// load the key itself.
func (b *batch) takeOutcome(i int, out outcome, err error) bool {
	switch {
	case err != nil:
		b.fail(i, fmt.Errorf("cache: %q: %w", b.keys[i], err))
		return true
	case out.kind == outcomeMiss: // that flight had no loader
		if b.slots.loads() {
			return false
		}
		b.fail(i, missing(b.keys[i], b.damaged[i]))
		return true
	case out.from == fromLocal && b.it.skipLocal:
		return false
	}
	if err = b.take(i, out); err == nil {
		return true
	}
	if b.tries++; b.slots.loads() && b.tries <= maxTries {
		if b.damaged == nil {
			b.damaged = make(map[int]error)
		}
		b.damaged[i] = err
		return false
	}
	b.fail(i, err)
	return true
}

// maxTries bounds how often a batch claims keys again because what another's flight found
// is of no use to it. When it gets to load them itself, that is once.
const maxTries = 100

// missing returns the error of a key that nobody loads; damaged, if not nil, is why what
// is stored could not be decoded.
func missing(key string, damaged error) error {
	if damaged != nil {
		return damaged
	}
	return fmt.Errorf("%w: %q, and there is no loader", ErrCacheMiss, key)
}
