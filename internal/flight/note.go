package flight

import "context"

// The fill rule. Who puts into a store what was read or loaded earlier took a Note when
// the read began. A write advances the key's epoch, and the fill happens only in the
// epoch of its Note.
//
// Looking at the epoch and filling must not be torn apart by a write in between:
//
//   - Local store: both happen under entry.local. A write advances the epoch first and
//     takes entry.local second. Either the fill sees the new epoch, or the write comes
//     after the fill and replaces what it put there.
//
//   - Remote store: the fill takes the lane first and looks at the epoch second; a write
//     advances the epoch first and waits for the lane second. Either the fill sees the
//     new epoch, or the write reaches the remote store after the fill has ended.
//
// A write advances the epoch twice, before and after the remote call: a read that began
// while the remote call was under way may have seen the old value, and must not fill
// after the write is over.

// Note is a read's memory of when it began.
type Note[V any] struct {
	t     *Table[V]
	e     *entry[V]
	epoch uint64
}

// Note begins a read of key. The caller ends it with Release.
func (t *Table[V]) Note(key string) Note[V] {
	e := t.hold(key)
	return Note[V]{t, e, e.epoch.Load()}
}

// Release ends the read.
func (n Note[V]) Release() { n.t.release(n.e) }

// Overtaken reports whether the key has been written since the read began.
func (n Note[V]) Overtaken() bool { return n.e.epoch.Load() != n.epoch }

// FillLocal calls put, which fills the local store, unless the read was overtaken. It
// reports whether it did.
func (n Note[V]) FillLocal(put func()) bool {
	n.e.local.Lock()
	defer n.e.local.Unlock()
	if n.Overtaken() {
		return false
	}
	put()
	return true
}

// BeginFill reports whether the read may fill the remote store: it was not overtaken
// and nobody else is writing the key. If so, the caller calls EndFill when the remote
// call is over. It never waits: a fill is not worth it, and who holds several lanes
// must not wait for one.
func (n Note[V]) BeginFill() bool {
	if !n.e.tryLane() {
		return false
	}
	if n.Overtaken() {
		n.e.leaveLane()
		return false
	}
	return true
}

// EndFill ends what BeginFill began.
func (n Note[V]) EndFill() { n.e.leaveLane() }

// Write is a change of a key under way.
type Write[V any] struct {
	t     *Table[V]
	e     *entry[V]
	epoch uint64 // the one that the write began
}

// BeginWrite announces a change of key and waits until no other write of the key is
// under way. From the call on, older reads of key are void and no new reader joins a
// load of it. If ctx ends first it returns ctx's error. Otherwise the caller calls End
// when the remote call is over.
func (t *Table[V]) BeginWrite(ctx context.Context, key string) (Write[V], error) {
	e := t.hold(key)
	return t.beginWrite(ctx, e)
}

// BeginWrite is Table.BeginWrite for a change that was worked out from a read: it does
// not begin if the read was overtaken, which ok reports.
func (n Note[V]) BeginWrite(ctx context.Context) (w Write[V], ok bool, err error) {
	if !n.e.epoch.CompareAndSwap(n.epoch, n.epoch+1) { // our own step leaves no gap for another's
		return Write[V]{}, false, nil
	}
	w, err = n.t.beginWrite(ctx, n.t.hold(n.e.key))
	return w, true, err
}

func (t *Table[V]) beginWrite(ctx context.Context, e *entry[V]) (Write[V], error) {
	epoch := t.advance(e)
	if err := e.enterLane(ctx); err != nil {
		t.release(e)
		return Write[V]{}, err
	}
	return Write[V]{t, e, epoch}, nil
}

// End makes the change take effect on this node: it voids the reads that began during
// the write and calls apply, which changes the local store. overtaken tells apply that
// another write or an invalidation of the key came in meanwhile: then nobody knows whose
// value is the newest, and apply must leave none.
func (w Write[V]) End(apply func(overtaken bool)) {
	w.e.local.Lock()
	apply(w.t.advance(w.e) != w.epoch+1)
	w.e.local.Unlock()
	w.e.leaveLane()
	w.t.release(w.e)
}

// Invalidate voids the reads of key that are under way and calls apply, which removes
// key from the local store. It does not wait for remote calls.
func (t *Table[V]) Invalidate(key string, apply func()) {
	e := t.hold(key)
	t.advance(e)
	e.local.Lock()
	apply()
	e.local.Unlock()
	t.release(e)
}
