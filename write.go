package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/load"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func (c *jetCache) Set(ctx context.Context, key string, opts ...ItemOption) error {
	return c.set(ctx, key, newItem(opts))
}

func (c *jetCache) set(ctx context.Context, key string, opts item) error {
	if opts.do != nil {
		return c.setLoaded(ctx, key, opts)
	}
	return c.setValues(ctx, []*write{newWrite(key, opts.value)}, opts)
}

// setValues is Set for given values.
func (c *jetCache) setValues(ctx context.Context, writes []*write, opts item) error {
	writes, errs, err := c.admit(writes)
	if err != nil {
		return err
	}
	req := c.request(nil, EventTypeSet, &opts)
	op := c.setting(&req)
	life, phase := c.path.Lifetimes(opts.ttl), c.local.Doubts.Now()
	encoded := writes[:0]
	var tooLarge []*write
	for _, w := range writes {
		if w.Data, err = c.encodeForSet(w.Key, w.value); err != nil {
			if errors.Is(err, ErrValueTooLarge) && opts.condition != record.IfAbsent {
				tooLarge = append(tooLarge, w)
			}
			errs = append(errs, err)
			continue
		}
		if len(encoded) > 0 {
			life = c.path.NextLifetimes(life, opts.ttl)
		}
		w.Life, w.If, w.Phase = life, opts.condition, phase
		encoded = append(encoded, w)
	}
	errs = append(errs, c.change(ctx, encoded, op))
	if len(tooLarge) > 0 {
		errs = append(errs, c.change(ctx, tooLarge, c.insteadOf(op)))
	}
	return join(errs...)
}

// insteadOf returns the operation for keys whose values are too large to be stored by op: it removes what
// is there, which is older.
func (c *jetCache) insteadOf(op operation) operation {
	remove := c.deleting(c.fence.Remove)
	remove.toRemote = op.toRemote
	return remove
}

// setLoaded is Set for a value that Do returns. It may be older than a change that was made while
// Do ran.
func (c *jetCache) setLoaded(ctx context.Context, key string, opts item) error {
	ctx, err := c.begin(ctx, key)
	if err != nil {
		return err
	}
	note := c.flights.Note(key)
	defer note.Release()
	s := newSingle(c, key, opts)
	if err := c.path.Call(ctx, &s.req, s.records(note)); err != nil {
		return err
	}
	w := &write{Record: s.rec}
	w.Data, w.Life = record.Placeholder, c.path.PlaceholderLifetimes(opts.ttl)
	var tooLarge error
	if w.Out.Kind == record.Value {
		w.Life = c.path.Lifetimes(opts.ttl)
		w.Data, err = c.encodeForSet(key, s.value)
		switch {
		case err == nil:
		case errors.Is(err, ErrValueTooLarge) && opts.condition != record.IfAbsent:
			tooLarge = err
		default:
			return err
		}
	}
	bounded, cancel := c.remote.Bounded(ctx) // changes may wait for the remote one after another
	defer cancel()
	lane, precedence, err := note.BeginWrite(bounded)
	w.lane, w.hasLane = lane, err == nil
	op := c.setting(&s.req)
	switch {
	case err != nil:
		return join(tooLarge, c.giveUp([]*write{w}, 0, op, level.EndOf(bounded)))
	case precedence == flight.Current && tooLarge != nil:
		op = c.insteadOf(op)
	case precedence == flight.Current:
	case precedence == flight.Superseded, opts.condition != record.Always:
		lane.End(nil) // as if this Set had come just before what came in between
		return tooLarge
	case w.Life.Remote <= 0: // the remote is not ours to change
		lane.End(func(bool) bool { c.local.Del(key); return true })
		return tooLarge
	default: // which value is the newest is not known
		op = c.deleting(c.fence.Remove)
	}
	return join(tooLarge, c.change(ctx, []*write{w}, op))
}

func (c *jetCache) Delete(ctx context.Context, key string) error {
	return c.remove(ctx, []*write{newWrite(key, nil)})
}

// remove is Delete for many keys.
func (c *jetCache) remove(ctx context.Context, writes []*write) error {
	writes, errs, err := c.admit(writes)
	if err != nil {
		return err
	}
	for _, w := range writes {
		c.refresh.forget(w.Key)
	}
	return join(append(errs, c.change(ctx, writes, c.deleting(c.fence.Remove)))...)
}

func (c *jetCache) DeleteFromLocalCache(key string) {
	if c.local.Exists() && checkKey(key) == nil {
		c.flights.Invalidate(key, func() { c.local.Del(key) })
	}
}

// write is one key of a change.
type write struct {
	record.Record
	value   any // to be encoded
	lane    flight.Write[record.Outcome]
	hasLane bool
	event   EventType // what it did; zero if it changed nothing
}

func newWrite(key string, value any) *write {
	return &write{Record: record.Record{Key: key}, value: value}
}

func records(writes []*write) []*record.Record {
	recs := make([]*record.Record, len(writes))
	for i, w := range writes {
		recs[i] = &w.Record
	}
	return recs
}

// operation is what a change does to each of its keys.
type operation struct {
	doing    string // for errors
	event    EventType
	toRemote bool
	// send changes recs in the remote, in one call, and sets the Stored and the StoreErr of each.
	send func(ctx context.Context, recs []*record.Record) error
	req  *load.Request // how values are stored; nil if keys are removed
}

// setting returns the operation that stores the Data of its keys.
func (c *jetCache) setting(req *load.Request) operation {
	return operation{"writing", EventTypeSet, c.remote.Exists() && req.TTL >= 0, c.storeOrRemove, req}
}

// deleting returns the operation that removes its keys, from the remote by send.
func (c *jetCache) deleting(send func(ctx context.Context, recs []*record.Record) error) operation {
	return operation{"deleting", EventTypeDelete, c.remote.Exists(), send, nil}
}

// storeOrRemove stores recs. It removes those that their fences refuse: another node has changed
// them since their values were loaded, and which value is the newest is not known. A value with
// a condition it leaves alone. If the remote did not answer when a load began, it is not asked again.
func (c *jetCache) storeOrRemove(ctx context.Context, recs []*record.Record) error {
	err := c.fence.Change(ctx, recs)
	var refused []*record.Record
	for _, rec := range recs {
		switch {
		case rec.Stored != record.Refused:
		case rec.Silent != nil:
			rec.Stored, rec.StoreErr = record.Failed, rec.Silent
			c.fence.GiveUp([]*record.Record{rec}, rec.Silent)
			err = errors.Join(err, rec.Silent)
		case rec.If == record.Always:
			refused = append(refused, rec)
		default:
			rec.Stored = record.NotDue
		}
	}
	if len(refused) > 0 {
		err = errors.Join(err, c.fence.Remove(ctx, refused))
	}
	for _, rec := range refused {
		rec.Stored = record.Refused
	}
	return err
}

// admit returns the writes that can be made, and why others cannot; or why none can.
func (c *jetCache) admit(writes []*write) (admitted []*write, errs []error, err error) {
	if len(writes) > 0 && c.CacheType() == "" {
		return nil, nil, ErrRemoteLocalBothNil
	}
	admitted = writes[:0]
	for _, w := range writes {
		if err := c.checkKey(w.Key); err != nil {
			errs = append(errs, err)
			continue
		}
		admitted = append(admitted, w)
	}
	return admitted, errs, nil
}

// change changes keys in the remote by one call, then each in the local level, and then tells of
// those that were changed, also if others were not. A key that the remote could not change is
// dropped from the local level.
func (c *jetCache) change(ctx context.Context, writes []*write, op operation) error {
	if len(writes) == 0 {
		return nil
	}
	if ctx == nil {
		ctx = context.Background()
	}
	// A change that waits for a lane while it holds others must not be waited for by the change
	// that holds that one: all of them take lanes in the order of the keys.
	slices.SortFunc(writes, func(a, b *write) int { return cmp.Compare(a.Key, b.Key) })
	writes = slices.CompactFunc(writes, func(a, b *write) bool { return a.Key == b.Key })
	if i, err := c.enterLanes(ctx, writes); err != nil {
		return c.giveUp(writes, i, op, err)
	}
	var news *remote.Announcement // what the other nodes are told, if the change itself can publish it
	if op.toRemote {
		news = c.told.announce(op.event, writes)
	}
	err := c.carryOut(remote.WithAnnouncement(ctx, news), writes, op)
	if err != nil {
		err = fmt.Errorf("cache: %s %s: %w", op.doing, named(writes), err)
	}
	if level.Abandoned(err) != nil {
		news = nil // the call goes on, and may still change it
	}
	told := *c.told
	if told.sync.Announced(news) {
		told.sync = nil // the handler is left
	}
	return join(err, told.tellOf(ctx, EventTypeSet, writes), told.tellOf(ctx, EventTypeDelete, writes))
}

// enterLanes takes the lanes of writes. It returns an error, and the index of the lane that it could not
// have, if ctx ends, or if the time of one call of the remote has passed.
func (c *jetCache) enterLanes(ctx context.Context, writes []*write) (i int, err error) {
	ctx, cancel := c.remote.Bounded(ctx)
	defer cancel()
	for i, w := range writes {
		if w.hasLane {
			continue
		}
		if w.lane, err = c.flights.BeginWrite(ctx, w.Key); err != nil {
			return i, level.EndOf(ctx)
		}
		w.hasLane = true
	}
	return 0, nil
}

// named names the keys of writes in an error.
func named(writes []*write) string {
	if len(writes) == 1 {
		return quote.Key(writes[0].Key)
	}
	return fmt.Sprintf("%d keys", len(writes))
}

// join is errors.Join that returns a single error as it is.
func join(errs ...error) error {
	var only error
	for _, err := range errs {
		switch {
		case err == nil:
		case only != nil:
			return errors.Join(errs...)
		default:
			only = err
		}
	}
	return only
}

// giveUp ends a change that could not have the lane of writes[i], because of err. The remote has
// not been changed.
func (c *jetCache) giveUp(writes []*write, i int, op operation, err error) error {
	if op.toRemote { // first of all: from now on, readers must not trust the remote
		c.fence.GiveUp(records(writes), err)
	}
	for _, w := range writes {
		drop := func() { c.local.Del(w.Key) }
		if w.hasLane {
			w.lane.End(func(bool) bool { drop(); return false })
		} else {
			c.flights.Invalidate(w.Key, drop)
		}
	}
	err = fmt.Errorf("cache: waiting for other changes of %s to end: %w", quote.Key(writes[i].Key), err)
	if len(writes) == 1 {
		return err
	}
	return fmt.Errorf("cache: %s %d keys: none was changed: %w", op.doing, len(writes), err)
}

// carryOut changes the remote and then the local level, and leaves the lanes.
func (c *jetCache) carryOut(ctx context.Context, writes []*write, op operation) error {
	began, done := time.Now(), false
	for _, w := range writes {
		// Each lane by itself: if the remote panics, or a store at another key, none stays held.
		defer w.lane.End(func(overtaken bool) (changed bool) {
			event := op.event
			if w.Stored == record.Refused { // see storeOrRemove
				event = EventTypeDelete
			}
			switch {
			case !done, w.StoreErr != nil:
				c.local.Del(w.Key)
			case w.Stored == record.NotDue: // the condition does not hold
			case overtaken, event == EventTypeDelete: // overtaken: nobody knows whose value is the newest
				c.local.Del(w.Key)
				w.event = event
			case c.path.StoreLocally(op.req, &w.Record, began):
				w.event = event
			}
			return w.event != 0
		})
	}
	var err error
	if op.toRemote {
		err = op.send(ctx, records(writes))
	}
	done = true // otherwise the remote panicked
	return err
}
