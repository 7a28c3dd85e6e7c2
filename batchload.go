package cache

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// batchLoad loads the keys that a batch owns. It is detached from the batch's caller and
// may go on when that has left. It shares with it only the slots of these keys, and hands
// over everything else in report, when it has ended.
type batchLoad struct {
	c      *jetCache
	it     item
	claims *flight.Batch[outcome]
	slots  slots
	keys   []loadKey
	errs   []error // of the batch as a whole
}

// loadKey is one key of a batchLoad.
type loadKey struct {
	key    string
	slot   int  // its index in the batch
	claim  int  // its index in the claims
	reload bool // what is stored could not be decoded: do not look at it again

	// What is known, for the batch's caller.
	state slotState
	err   error
}

func newBatchLoad(b *batch, claims *flight.Batch[outcome], open []int) *batchLoad {
	l := &batchLoad{c: b.c, it: b.it, claims: claims, slots: b.slots, keys: make([]loadKey, len(claims.Owned))}
	for n, claim := range claims.Owned {
		slot := open[claim]
		damaged, reload := b.damaged[slot]
		l.keys[n] = loadKey{key: b.keys[slot], slot: slot, claim: claim, reload: reload, err: damaged}
	}
	return l
}

// report hands the results to the batch. The load has ended; cause is why, if that was
// before its time.
func (l *batchLoad) report(b *batch, cause error) {
	b.errs = append(b.errs, l.errs...)
	if cause != nil {
		b.errs = append(b.errs, cause)
	}
	for n := range l.keys {
		k := &l.keys[n]
		if k.state == slotOpen {
			k.state, k.err = slotFailed, nil
		}
		b.state[k.slot] = k.state
		if k.err != nil {
			b.errs = append(b.errs, k.err)
		}
	}
}

// settle ends a key: state and err are for the batch's caller, out and joinErr for those
// who have joined.
func (l *batchLoad) settle(k *loadKey, state slotState, err error, out outcome, joinErr error) {
	k.state, k.err = state, err
	l.claims.Resolve(k.claim, out, joinErr)
}

// settleStored ends a key with what a level has.
func (l *batchLoad) settleStored(k *loadKey, out outcome) {
	state := slotSet
	if out.kind == outcomeNotFound {
		state = slotAbsent
	}
	l.settle(k, state, nil, out, nil)
}

// usable sets the key's slot from what a level has; it reports false if that cannot be
// decoded.
func (l *batchLoad) usable(k *loadKey, out outcome) bool {
	if out.kind == outcomeNotFound {
		return true
	}
	k.err = l.slots.decode(k.slot, out.data)
	return k.err == nil
}

// run is the work of the flight: local, remote, loader, write-back.
func (l *batchLoad) run(ctx context.Context) {
	open := make([]*loadKey, len(l.keys))
	for n := range l.keys {
		open[n] = &l.keys[n]
	}
	if l.useLocal() {
		open = l.lookLocally(open)
	}
	if l.c.remote.exists() && len(open) > 0 {
		open = l.lookRemotely(ctx, open)
	}
	for range open {
		l.c.count.miss()
	}
	switch {
	case len(open) == 0:
	case l.slots.loads():
		l.load(ctx, open)
	default:
		for _, k := range open {
			l.settle(k, slotFailed, missing(k.key, k.err), outcome{}, nil)
		}
	}
}

// useLocal reports whether the load reads and fills the local level.
func (l *batchLoad) useLocal() bool { return l.c.local.exists() && !l.it.skipLocal }

// lookLocally settles what an earlier flight has put into the local level since the batch
// looked, and returns the rest.
func (l *batchLoad) lookLocally(open []*loadKey) (rest []*loadKey) {
	rest = open[:0]
	for _, k := range open {
		if !k.reload {
			if data, ok := l.c.local.get(k.key); ok {
				if out := stored(data, fromLocal); l.usable(k, out) {
					l.c.count.localHit()
					l.settleStored(k, out)
					continue
				}
			}
		}
		l.c.count.localMiss()
		rest = append(rest, k)
	}
	return rest
}

// lookRemotely settles what the remote has, after filling the local level with it, and
// returns the rest.
func (l *batchLoad) lookRemotely(ctx context.Context, open []*loadKey) (rest []*loadKey) {
	ask := make([]string, 0, len(open))
	for _, k := range open {
		if !k.reload {
			ask = append(ask, k.key)
		}
	}
	var found remoteValues
	if len(ask) > 0 {
		var err error
		if found, err = l.c.remote.mget(ctx, ask, l.useLocal()); err != nil {
			l.errs = append(l.errs, fmt.Errorf("cache: reading %d keys: %w", len(ask), err))
		}
	}
	rest = open[:0]
	for _, k := range open {
		if v, ok := found.get(k.key); ok && !k.reload {
			if out := stored(v.data, fromRemote); l.usable(k, out) {
				l.c.count.remoteHit()
				if l.useLocal() {
					l.c.fillRead(l.claims.Note(k.claim), k.key, v)
				}
				l.settleStored(k, out)
				continue
			}
		}
		l.c.count.remoteMiss()
		if l.useLocal() && !k.reload {
			if data, ok := l.c.insteadOfRemote(l.claims.Note(k.claim), k.key, found.failed(k.key)); ok {
				if out := stored(data, fromLocal); l.usable(k, out) {
					l.settleStored(k, out)
					continue
				}
			}
		}
		rest = append(rest, k)
	}
	return rest
}

// loaded is a key that the loader has answered for, with what is to be kept of it.
type loaded struct {
	*loadKey
	data    []byte
	life    lifetimes
	guard   guard
	lane    bool // its lane to the remote is held
	refused bool // by its fence, or it cannot be asked
}

// load loads the open keys and keeps what it gets.
func (l *batchLoad) load(ctx context.Context, open []*loadKey) {
	if l.c.remote.leases.apply(&l.it) {
		l.loadByLease(ctx, open)
	} else {
		_ = l.loadOwn(ctx, open) // reported with the batch
	}
}

// loadOwn calls the loader for the open keys and keeps what it returns. It returns the loader's
// error, which it has dealt with.
func (l *batchLoad) loadOwn(ctx context.Context, open []*loadKey) error {
	indices := make([]int, len(open))
	for n, k := range open {
		indices[n] = k.slot
	}
	guards := l.guards(ctx, open)
	found, err := l.callLoader(ctx, indices)
	if err != nil {
		l.loadFailed(open, found, err)
		return err
	}
	keep := make([]loaded, 0, len(open))
	for n, k := range open {
		k.err = nil // what was stored and damaged is overwritten
		if !found[n] {
			keep = append(keep, loaded{loadKey: k, data: placeholder, life: l.c.placeholderLifetimes(l.it.ttl), guard: guards[n]})
			continue
		}
		data, err := l.c.encode(k.key, l.slots.value(k.slot))
		switch {
		case err != nil: // the caller gets the value and the error
			l.settle(k, slotSet, err, outcome{}, err)
		case isPlaceholder(data): // it cannot be kept, but it can be returned
			l.settle(k, slotSet, nil, outcome{data: data, kind: outcomeValue, from: fromLoader}, nil)
		default:
			keep = append(keep, loaded{loadKey: k, data: data, life: l.c.lifetimes(l.it.ttl), guard: guards[n]})
		}
	}
	l.keep(ctx, keep)
	return nil
}

// guards returns the guards of the open keys, in their order.
func (l *batchLoad) guards(ctx context.Context, open []*loadKey) []guard {
	if !l.c.remote.fenced() || l.it.ttl < 0 { // otherwise it is not for the remote
		return slices.Repeat([]guard{l.c.remote.plainGuard()}, len(open))
	}
	return l.c.remote.guards(ctx, keysOfOpen(open))
}

// callLoader calls the loader and counts the query and its failure.
func (l *batchLoad) callLoader(ctx context.Context, indices []int) (found []bool, err error) {
	l.c.count.query()
	err = flight.ErrGoexit // until it returns
	defer func() {
		if err != nil {
			l.c.count.queryFail(err)
		}
	}()
	return flight.Run(ctx, func(ctx context.Context) ([]bool, error) { return l.slots.load(ctx, indices) })
}

// loadFailed ends the open keys with the loader's error. The caller gets the values that
// the loader returned beside it; they are not kept.
func (l *batchLoad) loadFailed(open []*loadKey, found []bool, err error) {
	l.errs = append(l.errs, fmt.Errorf("cache: loading %d keys: %w", len(open), err))
	for n, k := range open {
		state := slotFailed
		if n < len(found) && found[n] {
			state = slotSet
		}
		l.settle(k, state, nil, outcome{}, err)
	}
}

// keep stores what was loaded, in one call to the remote and then locally, tells of it,
// and settles the keys. A key that was written meanwhile is left out.
func (l *batchLoad) keep(ctx context.Context, keep []loaded) {
	defer func() {
		for n := range keep {
			if keep[n].lane {
				l.claims.Note(keep[n].claim).EndFill()
			}
		}
		for n := range keep { // lanes first: a key's note ends when it is settled
			k := &keep[n]
			if isPlaceholder(k.data) {
				l.settle(k.loadKey, slotAbsent, nil, outcome{kind: outcomeNotFound, from: fromLoader}, nil)
			} else {
				l.settle(k.loadKey, slotSet, nil, outcome{data: k.data, kind: outcomeValue, from: fromLoader}, nil)
			}
		}
	}()
	began := time.Now()
	if l.c.remote.exists() && l.it.ttl >= 0 {
		l.keepRemotely(ctx, keep)
	}
	var changed []string
	for n := range keep {
		k := &keep[n]
		if k.refused {
			continue
		}
		if l.claims.Note(k.claim).FillLoaded(func() { l.c.keepLocal(k.key, k.data, k.life.since(began), l.it, k.guard) }) {
			changed = append(changed, k.key)
		}
	}
	l.c.emit(EventTypeSetByMGet, changed...)
	l.c.tellOfLoad(EventTypeSetByMGet, true, changed...)
}

// keepRemotely stores what was loaded in the remote, but for keys that are being written
// or have been.
func (l *batchLoad) keepRemotely(ctx context.Context, keep []loaded) {
	items := make([]remote.FencedItem, 0, len(keep))
	guards := make([]guard, 0, len(keep))
	sent := make([]*loaded, 0, len(keep))
	for n := range keep {
		k := &keep[n]
		if !l.claims.Note(k.claim).BeginFill() {
			if k.refused = l.c.remote.fenced(); k.refused {
				l.c.remote.fences.countRefused(1)
			}
			continue
		}
		k.lane = true
		items = append(items, fencedItem(k.key, k.data, k.life.remote, always))
		guards = append(guards, k.guard)
		sent = append(sent, k)
	}
	fills, err := l.c.remote.mfill(ctx, items, guards)
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("cache: writing %d keys: %w", len(items), err))
	}
	for n, k := range sent {
		k.refused = fills[n] == fillRefused
	}
	var undo []string
	for n := range keep {
		if k := &keep[n]; k.lane && l.claims.Note(k.claim).Overtaken() {
			undo = append(undo, k.key)
		}
	}
	l.c.undo(ctx, undo...)
}
