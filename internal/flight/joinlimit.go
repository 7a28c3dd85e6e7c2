package flight

import (
	"sync/atomic"
	"time"
)

// A caller may join a load that began before the caller asked. That is right because a change of
// the key in between would have ended the joining (see advance). It is wrong while changes can go
// unnoticed: then a load may be joined for a limited time only.

// joinLimit says which loads new callers may join.
type joinLimit struct {
	cuts   atomic.Uint64 // calls of Part; a load that began before the last one must not be joined
	maxAge atomic.Int64  // in nanoseconds; an older load must not be joined; zero means no limit
}

// joinMark records when a load began.
type joinMark struct {
	cuts  uint64
	began time.Time // zero if there was no maximum age
}

// mark returns the joinMark of a load that begins now.
func (l *joinLimit) mark() joinMark {
	m := joinMark{cuts: l.cuts.Load()}
	if l.maxAge.Load() > 0 {
		m.began = time.Now()
	}
	return m
}

// allows reports whether new callers may join a load that began at m. A load that began before
// there was a maximum age counts as too old.
func (l *joinLimit) allows(m joinMark) bool {
	if m.cuts != l.cuts.Load() {
		return false
	}
	maxAge := l.maxAge.Load()
	return maxAge <= 0 || time.Since(m.began) <= time.Duration(maxAge)
}

// Part makes sure that new callers do not join the loads that are under way now: changes of their
// keys may have gone unnoticed. From now on callers join a load only until it reaches age. An age
// of zero means no limit. The waiters that have joined already still get their results.
func (t *Table[V]) Part(age time.Duration) {
	t.joinLimit.maxAge.Store(int64(age))
	t.joinLimit.cuts.Add(1)
}
