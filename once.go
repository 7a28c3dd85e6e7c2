package cache

import (
	"context"
	"errors"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
)

// outcome is what a flight found or loaded; its callers share data and do not change it.
type outcome struct {
	data []byte
	kind outcomeKind
	from source
}

type outcomeKind uint8

const (
	outcomeMiss     outcomeKind = iota // no level has the key, and the flight had no loader
	outcomeValue                       // data
	outcomeNotFound                    // the record does not exist
)

type source uint8

const (
	fromNowhere source = iota
	fromLocal
	fromRemote
	fromLoader
)

// stored returns the outcome of reading data from a level.
func stored(data []byte, from source) outcome {
	if isPlaceholder(data) {
		return outcome{kind: outcomeNotFound, from: from}
	}
	return outcome{data: data, kind: outcomeValue, from: from}
}

func (c *jetCache) Once(ctx context.Context, key string, opts ...ItemOption) error {
	return c.once(ctx, key, newItem(opts))
}

func (c *jetCache) once(ctx context.Context, key string, it item) error {
	ctx, err := c.begin(ctx, key)
	if err != nil {
		return err
	}
	if err := checkDestination(it.value); err != nil {
		return err
	}
	if it.refresh {
		c.refresh.touch(key, it)
	}
	if !it.skipLocal {
		if data, ok := c.local.get(key); ok {
			c.count.localHit()
			return c.deliver(key, data, it.value)
		}
	}
	out, _, err := c.fly(ctx, key, it)
	if err != nil {
		return err
	}
	if err := c.without(out); err != nil {
		return err
	}
	return c.decode(key, out.data, it.value)
}

// fly joins or leads the key's flight and returns its outcome.
func (c *jetCache) fly(ctx context.Context, key string, it item) (out outcome, led bool, err error) {
	if c.remote.exists() && c.flights.InBackground(key) {
		// A refresh is loading the key. What the remote has meanwhile is good.
		if out, ok := c.readRemote(ctx, key, it.skipLocal); ok {
			return out, true, nil
		}
	}
	for {
		out, led, err := c.join(ctx, key, it)
		switch {
		case err != nil && !led && ctx.Err() == nil && isContextError(err):
			// The leader's loader ended with the leader's own ctx: try again.
		case err != nil || led || !unfit(out, it):
			return out, led, err
		}
	}
}

// join joins or leads the key's flight.
func (c *jetCache) join(ctx context.Context, key string, it item) (out outcome, led bool, err error) {
	look := func(ctx context.Context, note flight.Note[outcome]) (outcome, bool, error) {
		return c.look(ctx, key, note, it)
	}
	load := func(ctx context.Context, note flight.Note[outcome]) (outcome, error) {
		return c.query(ctx, key, note, it, EventTypeSetByOnce)
	}
	if ctx.Done() == nil || !c.remote.exists() {
		return c.flights.LookAndDo(ctx, key, look, load)
	}
	// The caller may leave, while others stay: look from a goroutine that is nobody's.
	return c.flights.Do(ctx, key, func(ctx context.Context, note flight.Note[outcome]) (outcome, error) {
		if out, found, err := look(ctx, note); found || err != nil {
			return out, err
		}
		return load(ctx, note)
	})
}

// isContextError reports whether err is that of a context that ended.
func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// without returns the error of an outcome that has no value, nil if it has one.
func (c *jetCache) without(out outcome) error {
	switch out.kind {
	case outcomeValue:
		return nil
	case outcomeNotFound:
		return c.errNotFound
	default:
		return ErrCacheMiss
	}
}

// readRemote reads the key outside of a flight and counts a hit.
func (c *jetCache) readRemote(ctx context.Context, key string, skipLocal bool) (outcome, bool) {
	useLocal := c.local.exists() && !skipLocal
	note := c.flights.Note(key)
	defer note.Release()
	v, found, _ := c.remote.get(ctx, key, useLocal) // its failure counts as a miss
	if !found {
		return outcome{}, false
	}
	if useLocal {
		c.count.localMiss()
		c.fillRead(note, key, v)
	}
	c.count.remoteHit()
	return stored(v.data, fromRemote), true
}

// unfit says whether the outcome of a flight that another caller led is not what this
// one would have got: that caller had no loader, or used the local level.
func unfit(out outcome, it item) bool {
	return out.kind == outcomeMiss && it.do != nil || out.from == fromLocal && it.skipLocal
}

// look is the first part of a flight: local, then remote. It has found its outcome also if
// there is none and no loader.
func (c *jetCache) look(ctx context.Context, key string, note flight.Note[outcome], it item) (out outcome, found bool, err error) {
	useLocal := c.local.exists() && !it.skipLocal
	if useLocal { // an earlier flight may have filled it since the caller looked
		if data, ok := c.local.get(key); ok {
			c.count.localHit()
			return stored(data, fromLocal), true, nil
		}
		c.count.localMiss()
	}
	if c.remote.exists() {
		v, there, err := c.remote.get(ctx, key, useLocal) // its failure counts as a miss
		if there {
			c.count.remoteHit()
			if useLocal {
				c.fillRead(note, key, v)
			}
			return stored(v.data, fromRemote), true, nil
		}
		c.count.remoteMiss()
		if useLocal {
			if data, ok := c.insteadOfRemote(note, key, err); ok {
				return stored(data, fromLocal), true, nil
			}
		}
	}
	c.count.miss()
	// Who has left does not load any more.
	return outcome{}, it.do == nil, ctx.Err()
}

// query loads the key's value and keeps it in both levels.
func (c *jetCache) query(ctx context.Context, key string, note flight.Note[outcome], it item, event EventType) (out outcome, err error) {
	if event != EventTypeSetByRefresh && c.remote.leases.apply(&it) { // refreshes have their own lock
		found, release := false, func(error) {}
		if out, found, release, err = c.lead(ctx, key, note, it); found {
			return out, err
		}
		defer func() { release(err) }()
	}
	g := c.remote.plainGuard()
	if it.ttl >= 0 { // otherwise it is not for the remote
		g = c.remote.guard(ctx, key)
	}
	v, err := c.callLoader(ctx, it.do)
	if c.isNotFound(err) {
		c.keepAndTell(ctx, key, placeholder, c.placeholderLifetimes(it.ttl), note, it, g, event)
		return outcome{kind: outcomeNotFound, from: fromLoader}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	data, err := c.encode(key, v)
	if err != nil {
		return outcome{}, err
	}
	// A value that looks like the placeholder cannot be kept, but it can be returned.
	if !isPlaceholder(data) {
		c.keepAndTell(ctx, key, data, c.lifetimes(it.ttl), note, it, g, event)
	}
	return outcome{data: data, kind: outcomeValue, from: fromLoader}, nil
}

// keepAndTell keeps what was loaded and tells of it.
func (c *jetCache) keepAndTell(ctx context.Context, key string, data []byte, life lifetimes, note flight.Note[outcome], it item, g guard, event EventType) {
	changed := event == EventTypeSetByRefresh && c.differs(key, data)
	if c.keep(ctx, key, data, life, note, it, g) {
		c.emit(event, key)
		c.tellOfLoad(event, changed, key)
	}
}

// callLoader calls do and counts the query and its failure.
func (c *jetCache) callLoader(ctx context.Context, do DoFunc) (v any, err error) {
	c.count.query()
	err = flight.ErrGoexit // until it returns
	defer func() {
		if err != nil && !c.isNotFound(err) {
			c.count.queryFail(err)
		}
	}()
	return flight.Run(ctx, do)
}

// isNotFound reports whether err says that the record does not exist. A panic says nothing,
// whatever it was given.
func (c *jetCache) isNotFound(err error) bool {
	var panicked *PanicError
	return errors.Is(err, c.errNotFound) && !errors.As(err, &panicked)
}
