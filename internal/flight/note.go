package flight

import "context"

// The fill rule. A fill puts into a store a value that was read or loaded earlier. The filler took
// a Note when the read began. A write advances the key's epoch, and a fill happens only if the
// epoch is still that of its Note.
//
// No write may come between the look at the epoch and the fill:
//
//   - Local store: look and fill both happen with entry.local held. A write advances the epoch
//     first and locks entry.local second. So either the fill sees the new epoch, or the write
//     comes after the fill and replaces its value.
//
//   - Remote store: a fill takes the write lock first and looks at the epoch second. A write
//     advances the epoch first and waits for the write lock second. So either the fill sees the
//     new epoch, or the write reaches the remote store after the fill has ended.
//
// A write advances the epoch twice, before and after its remote call. A read that begins during
// the remote call may see the old value, so it must not fill after the write has ended.
//
// A read of the remote store competes with loads, too. Its value is older than that of a load that
// has filled the local store since the read began. So loads count their fills of the local store,
// and a read fills only if this count has not changed either. VoidReads advances the same count.

// Note records when a read or a load of a key began. It decides whether the value may be stored.
// Its methods may be called concurrently.
type Note[V any] struct {
	t   *Table[V]
	e   *entry[V]
	run *loaderRun // nil if the read is not part of a load
	// The counters of the entry when the Note was taken.
	epoch, explicit, uncertain, fills uint64
}

// Note begins a read of key. The caller must end it with Release.
func (t *Table[V]) Note(key string) Note[V] { return t.note(t.hold(key), nil) }

func (t *Table[V]) note(e *entry[V], r *loaderRun) Note[V] {
	return Note[V]{t, e, r, e.epoch.Load(), e.explicit.Load(), e.uncertain.Load(), e.fills.Load()}
}

// Release ends the read that Table.Note began. The Notes of loads are released by the Table.
func (n Note[V]) Release() { n.t.release(n.e) }

// Hold returns the Note of a read that began when n was taken, and that may go on when the load of n
// has ended. n must not have been released. The caller must end the read with Release.
func (n Note[V]) Hold() Note[V] {
	n.e, n.run = n.t.hold(n.e.key), nil
	return n
}

// Overtaken reports whether the value may be out of date, so that it must not be stored: the key
// was written or invalidated since the read began, or the load was abandoned and a newer load of
// the key may be under way.
func (n Note[V]) Overtaken() bool {
	return n.e.epoch.Load() != n.epoch || n.run != nil && n.run.abandoned.Load()
}

// FillRead calls put, which stores in the local store what was read from the remote store. It does
// not call put if the note is overtaken, or if a load has filled the local store since. It reports
// whether it called put.
func (n Note[V]) FillRead(put func()) bool {
	n.e.local.Lock()
	defer n.e.local.Unlock()
	if n.Overtaken() || n.e.fills.Load() != n.fills {
		return false
	}
	put()
	return true
}

// FillLoaded calls put, which stores in the local store what was loaded, unless the note is
// overtaken. It reports whether it called put.
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

// BeginFill reports whether the load may fill the remote store: the note is not overtaken, and no
// write and no other fill of the key is under way. If it returns true, the fill holds the key's
// write lock, and the caller must call EndFill after the remote call. BeginFill never waits: the
// value is not worth it, and a caller that holds write locks of other keys could cause a deadlock.
//
// An invalidation does not wait for the write lock. If one comes during the remote call, the fill
// may have replaced a newer value. So the caller must check Overtaken before EndFill, and remove
// the value if it reports true.
func (n Note[V]) BeginFill() bool {
	if !n.e.write.tryLock() {
		return false
	}
	if n.Overtaken() {
		n.e.write.unlock()
		return false
	}
	return true
}

// EndFill ends what BeginFill began.
func (n Note[V]) EndFill() { n.e.write.unlock() }

// Write is a write of a key that is under way. It holds the key's write lock.
type Write[V any] struct {
	t         *Table[V]
	e         *entry[V]
	explicit  bool   // the caller gave the value, or removes it; false if the value was computed from a read
	uncertain uint64 // the counter of the entry when the write lock was taken
}

// BeginWrite announces a write of key, and waits until no other write or fill of the key is under
// way. From the call on, older reads of key are void, and new callers do not join a load of it. If
// ctx ends first, BeginWrite returns ctx's error. Otherwise the caller must call End after the
// remote call.
func (t *Table[V]) BeginWrite(ctx context.Context, key string) (Write[V], error) {
	return t.beginWrite(ctx, t.hold(key), true)
}

// Precedence says what happened to the key between a read and the write of a value that was
// computed from the read.
type Precedence uint8

const (
	// Current means that the key was not changed.
	Current Precedence = iota
	// Uncertain means that an invalidation came, or that another computed value was written. It
	// is not known which value is the newest.
	Uncertain
	// Superseded means that an explicit value was written, or that the key was removed. That
	// change is newer than the computed value.
	Superseded
)

// BeginWrite is Table.BeginWrite for a value that was computed from a read: the Note was taken
// when the read began. The Precedence says what happened since; the caller decides what follows
// from it. Without an error, the caller must call End in any case.
func (n Note[V]) BeginWrite(ctx context.Context) (Write[V], Precedence, error) {
	w, err := n.t.beginWrite(ctx, n.t.hold(n.e.key), false)
	if err != nil {
		return w, Current, err
	}
	// With the write lock held, no other write on this node is under way.
	switch {
	case n.e.explicit.Load() != n.explicit:
		return w, Superseded, nil
	case n.e.uncertain.Load() != n.uncertain:
		return w, Uncertain, nil
	}
	return w, Current, nil
}

func (t *Table[V]) beginWrite(ctx context.Context, e *entry[V], explicit bool) (Write[V], error) {
	t.advance(e)
	if err := e.write.lock(ctx); err != nil {
		t.release(e)
		return Write[V]{}, err
	}
	return Write[V]{t, e, explicit, e.uncertain.Load()}, nil
}

// End ends the write. It voids the reads that began during the write and calls apply, which
// changes the local store. apply reports whether the write has changed any store. A nil apply
// means that it has not.
//
// overtaken tells apply that an invalidation of the key came during the write. Then it is not
// known whose value is the newest, and apply must remove the key from the local store.
func (w Write[V]) End(apply func(overtaken bool) (changed bool)) {
	defer w.t.release(w.e)
	defer w.e.write.unlock()
	w.e.local.Lock()
	defer w.e.local.Unlock()
	w.t.advance(w.e)
	if apply == nil || !apply(w.e.uncertain.Load() != w.uncertain) {
		return
	}
	if w.explicit {
		w.e.explicit.Add(1)
	} else {
		w.e.uncertain.Add(1)
	}
}

// Invalidate voids the reads and loads of key that are under way, and calls apply, which removes
// key from the local store. It does not wait for remote calls.
func (t *Table[V]) Invalidate(key string, apply func()) {
	e := t.hold(key)
	defer t.release(e)
	e.uncertain.Add(1)
	t.advance(e)
	e.local.Lock()
	defer e.local.Unlock()
	apply()
}

// VoidReads voids the reads of key that are under way, and calls apply, which may remove key from
// the local store. Loads and writes of key are not affected.
func (t *Table[V]) VoidReads(key string, apply func()) {
	e := t.hold(key)
	defer t.release(e)
	e.local.Lock()
	defer e.local.Unlock()
	e.fills.Add(1)
	apply()
}
