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

// A read of the remote store may also be overtaken by a load, which has a newer value and
// fills the local store first. So loads count their fills, and a read fills only if that
// count, too, is what it was. VoidReads counts, too.

// Note is the memory that a read or a load has of when it began.
type Note[V any] struct {
	t    *Table[V]
	e    *entry[V]
	load *load // nil: the read is not part of a load
	// The entry's counters when it was taken.
	epoch, sets, unsure, fills uint64
}

// Note begins a read of key. The caller ends it with Release.
func (t *Table[V]) Note(key string) Note[V] { return t.note(t.hold(key), nil) }

func (t *Table[V]) note(e *entry[V], l *load) Note[V] {
	return Note[V]{t, e, l, e.epoch.Load(), e.sets.Load(), e.unsure.Load(), e.fills.Load()}
}

// Release ends the read.
func (n Note[V]) Release() { n.t.release(n.e) }

// Overtaken reports whether the key has been written since the read began, or the load
// that it is part of has been abandoned: another may be under way.
func (n Note[V]) Overtaken() bool {
	return n.e.epoch.Load() != n.epoch || n.load != nil && n.load.abandoned.Load()
}

// FillRead calls put, which fills the local store with what was read from the remote,
// unless the read was overtaken. It reports whether it did.
func (n Note[V]) FillRead(put func()) bool {
	n.e.local.Lock()
	defer n.e.local.Unlock()
	if n.Overtaken() || n.e.fills.Load() != n.fills {
		return false
	}
	put()
	return true
}

// FillLoaded calls put, which fills the local store with what was loaded, unless the load
// was overtaken. It reports whether it did.
func (n Note[V]) FillLoaded(put func()) bool {
	n.e.local.Lock()
	defer n.e.local.Unlock()
	if n.Overtaken() {
		return false
	}
	n.e.fills.Add(1)
	put()
	return true
}

// BeginFill reports whether the load may fill the remote store: it was not overtaken
// and nobody else is writing the key. If so, the caller calls EndFill when the remote
// call is over. It never waits: a fill is not worth it, and who holds several lanes
// must not wait for one.
//
// An invalidation does not wait for the lane. If it comes while the remote is being
// filled, the fill may have covered a newer value: the caller must look at Overtaken
// before EndFill and then remove what it has put there.
func (n Note[V]) BeginFill() bool {
	if !n.e.lane.try() {
		return false
	}
	if n.Overtaken() {
		n.e.lane.leave()
		return false
	}
	return true
}

// EndFill ends what BeginFill began.
func (n Note[V]) EndFill() { n.e.lane.leave() }

// Write is a change of a key under way.
type Write[V any] struct {
	t      *Table[V]
	e      *entry[V]
	given  bool   // the value was given, not worked out
	unsure uint64 // the entry's counter when the lane was taken
}

// BeginWrite announces a change of key and waits until no other write of the key is
// under way. From the call on, older reads of key are void and no new reader joins a
// load of it. If ctx ends first it returns ctx's error. Otherwise the caller calls End
// when the remote call is over.
func (t *Table[V]) BeginWrite(ctx context.Context, key string) (Write[V], error) {
	return t.beginWrite(ctx, t.hold(key), true)
}

// Precedence is what came in between when a value that was worked out from a read is to
// be written.
type Precedence uint8

const (
	// Current: nothing did.
	Current Precedence = iota
	// Uncertain: an invalidation, or another value that was worked out. Which of the
	// values is the newest is not known.
	Uncertain
	// Superseded: a value that was given, or a removal. It counts.
	Superseded
)

// BeginWrite is Table.BeginWrite for a value that was worked out since the note was
// taken. What came in between is for the caller to judge by: without an error, it calls
// End in any case.
func (n Note[V]) BeginWrite(ctx context.Context) (Write[V], Precedence, error) {
	w, err := n.t.beginWrite(ctx, n.t.hold(n.e.key), false)
	if err != nil {
		return w, Current, err
	}
	// We have the lane: every other write on this node has ended or not begun.
	switch {
	case n.e.sets.Load() != n.sets:
		return w, Superseded, nil
	case n.e.unsure.Load() != n.unsure:
		return w, Uncertain, nil
	}
	return w, Current, nil
}

func (t *Table[V]) beginWrite(ctx context.Context, e *entry[V], given bool) (Write[V], error) {
	t.advance(e)
	if err := e.lane.enter(ctx); err != nil {
		t.release(e)
		return Write[V]{}, err
	}
	return Write[V]{t, e, given, e.unsure.Load()}, nil
}

// End makes the change take effect on this node: it voids the reads that began during
// the write and calls apply, which changes the local store and reports whether there was
// a change, in any store; nil is none. overtaken tells apply that an invalidation of the
// key came in during the write: then nobody knows whose value is the newest, and apply
// must leave none.
func (w Write[V]) End(apply func(overtaken bool) (changed bool)) {
	defer w.t.release(w.e)
	defer w.e.lane.leave()
	w.e.local.Lock()
	defer w.e.local.Unlock()
	w.t.advance(w.e)
	if apply == nil || !apply(w.e.unsure.Load() != w.unsure) {
		return
	}
	if w.given {
		w.e.sets.Add(1)
	} else {
		w.e.unsure.Add(1)
	}
}

// Invalidate voids the reads of key that are under way and calls apply, which removes
// key from the local store. It does not wait for remote calls.
func (t *Table[V]) Invalidate(key string, apply func()) {
	e := t.hold(key)
	defer t.release(e)
	e.unsure.Add(1)
	t.advance(e)
	e.local.Lock()
	defer e.local.Unlock()
	apply()
}

// VoidReads voids the reads of key that are under way, but neither loads nor writes, and calls
// apply, which may remove key from the local store.
func (t *Table[V]) VoidReads(key string, apply func()) {
	e := t.hold(key)
	defer t.release(e)
	e.local.Lock()
	defer e.local.Unlock()
	e.fills.Add(1)
	apply()
}
