package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// slots are the values of a batch, by index. They know the type, which the batch does not. One
// goroutine at a time uses a slot.
type slots interface {
	// decode sets value i from stored bytes. With an error it leaves the value alone.
	decode(i int, data []byte) error
	// load calls the batch's loader for the values at indices. It returns a function that sets those
	// which the loader returned, and says which they are.
	load(ctx context.Context, indices []int) (set func() (found []bool), err error)
	// loads reports whether there is a loader.
	loads() bool
	// value returns value i as it is to be stored.
	value(i int) any
	// apart returns slots of their own for the values at indices, in this order.
	apart(indices []int) slots
	// explain notes the Info of value i.
	explain(i int, info Info)
	// adopt sets value i to value n of from, which apart has returned.
	adopt(i int, from slots, n int)
}

// slotState is what is known of a slot.
type slotState uint8

const (
	slotOpen   slotState = iota // nothing yet
	slotSet                     // it has its value
	slotAbsent                  // the record does not exist
	slotFailed                  // it will have no value; there is an error
)

// batch is one call of MGetWithErr, on the caller's side.
type batch struct {
	c     *jetCache
	opts  item
	keys  []string
	slots slots
	state []slotState
	errs  []error
	// rounds counts the rounds in which a load was of no use; see maxRounds.
	rounds int
	// reload holds the indices of the keys whose stored bytes cannot be decoded, and why. Such a
	// key is loaded without a look into the levels.
	reload map[int]error
	// silent is why the remote is not called any more: it gave no answer to this batch.
	silent error
	infos  *batchInfos // nil if nobody asks
	// What is loaded in the background before it expires.

	due   []int                 // the slots
	ahead map[int]time.Duration // by slot: the Ahead of its record
}

// mget fills slots for keys, and says for each what became of it. The local level has just been
// asked for them, if opts allow that. What could be had is there also if there is an error.
func (c *jetCache) mget(ctx context.Context, keys []string, s slots, opts item) ([]slotState, error) {
	b := &batch{c: c, opts: opts, keys: keys, slots: s, state: make([]slotState, len(keys))}
	if opts.explainEach != nil {
		b.infos = newBatchInfos(b)
		defer b.infos.end()
	}
	open := make([]int, 0, len(keys))
	for i, key := range keys {
		if err := c.checkKey(key); err != nil {
			b.fail(i, err)
		} else {
			open = append(open, i)
		}
	}
	open = b.takeAtHand(ctx, open)
	for len(open) > 0 {
		if err := ctx.Err(); err != nil {
			b.errs = append(b.errs, err)
			break
		}
		again, err := b.round(ctx, open)
		if err != nil {
			b.errs = append(b.errs, err)
			break
		}
		open = b.retry(again)
	}
	b.loadDue(ctx)
	return b.state, errors.Join(b.errs...)
}

func (b *batch) fail(i int, err error) {
	b.state[i] = slotFailed
	b.errs = append(b.errs, err)
}

// unusable is a key for which the result of another caller's load was of no use.
type unusable struct {
	slot    int
	err     error // of that load
	decode  error // why its value cannot be decoded
	bounded bool  // it counts as a round
}

// retry returns the slots of those keys that the next round asks for again. After the last round
// there are none.
func (b *batch) retry(again []unusable) (open []int) {
	if slices.ContainsFunc(again, func(u unusable) bool { return u.bounded }) {
		b.rounds++
	}
	for _, u := range again {
		i := u.slot
		switch {
		case !u.bounded || b.rounds < maxRounds:
			open = append(open, i)
			if u.decode != nil {
				if b.reload == nil {
					b.reload = make(map[int]error)
				}
				b.reload[i] = u.decode
			}
		case u.decode != nil:
			b.fail(i, u.decode)
		default:
			b.fail(i, loadError(b.keys[i], u.err))
		}
	}
	return open
}

func loadError(key string, err error) error {
	return fmt.Errorf("cache: %s: %w", quote.Key(key), flight.Settled(err))
}

// missing returns the error of a key that no level has and nobody loads.
func (b *batch) missing(i int) error {
	if err := b.reload[i]; err != nil {
		return err
	}
	return missing(b.keys[i])
}

func missing(key string) error {
	return fmt.Errorf("%w: %s, and there is no loader", ErrCacheMiss, quote.Key(key))
}

// round claims the open keys, has those loaded that nobody else is loading, and waits for the
// others. It returns the keys that have to be claimed again. An error ends the batch: it is that
// of ctx, or of a load that went wrong as a whole.
func (b *batch) round(ctx context.Context, open []int) (again []unusable, err error) {
	keys := make([]string, len(open))
	for n, i := range open {
		keys[n] = b.keys[i]
	}
	claims := b.c.flights.Claim(ctx, keys)
	defer claims.Leave()
	if len(claims.Owned) > 0 {
		l := b.newLoad(claims, open)
		claims.Start(l.run)
		ended, err := claims.Wait(ctx)
		if !ended {
			return nil, err // l may go on for others, so it must not be read
		}
		l.report(err)
	}
	if b.c.remote.Exists() && len(claims.Background) > 0 && b.silent == nil {
		b.readBesideRefresh(ctx, claims, open)
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
		if r := retryOf(out, err, &b.opts, b.slots.loads()); r != retryNever {
			again = append(again, unusable{slot: i, err: err, bounded: r == retryBounded})
		} else if err := b.take(i, out, err); err != nil {
			again = append(again, unusable{slot: i, decode: err, bounded: out.From == record.Loader})
		}
	}
	return again, nil
}

// take sets slot i from the result of another caller's load. An error says that its value cannot
// be decoded, and is to be loaded again.
func (b *batch) take(i int, out record.Outcome, err error) error {
	b.infos.joined(i, out, err)
	switch {
	case err != nil:
		if !b.fallback(i, flight.Settled(err)) {
			b.fail(i, loadError(b.keys[i], err))
		}
	case out.Kind == record.Miss:
		b.fail(i, b.missing(i))
	case out.Kind == record.NotFound:
		b.state[i] = slotAbsent
	default:
		err := b.slots.decode(i, out.Data)
		switch {
		case err == nil:
			b.state[i] = slotSet
		case b.slots.loads():
			return err
		default:
			b.fail(i, err)
		}
	}
	return nil
}

// readBesideRefresh takes what the remote has of the keys that a refresh is loading.
func (b *batch) readBesideRefresh(ctx context.Context, claims *flight.Batch[record.Outcome], open []int) {
	l := &batchLoad{batch: b, keys: make([]loadKey, len(claims.Background))}
	for n, joined := range claims.Background {
		slot := open[claims.Joined[joined]]
		k := &l.keys[n]
		k.slot, k.Key, k.Index, k.Note = slot, b.keys[slot], n, b.c.flights.Note(b.keys[slot])
	}
	defer func() {
		for n := range l.keys {
			l.keys[n].Note.Release()
		}
	}()
	rest := b.c.path.Read(ctx, l.request(), l.records())
	b.errs = append(b.errs, l.errs...)
	for range len(l.keys) - len(rest) {
		if b.c.local.Exists() && !b.opts.skipLocal {
			b.c.observe.LocalMiss()
		}
	}
	for n := range l.keys {
		k := &l.keys[n]
		if k.Out.Kind != record.Miss {
			b.state[k.slot] = k.state()
		}
		b.silent = cmp.Or(b.silent, k.Silent)
	}
}
