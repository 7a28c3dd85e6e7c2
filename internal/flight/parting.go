package flight

import (
	"sync/atomic"
	"time"
)

// A load may be joined by who asks after it began, because a change of its key would have ended
// that: see advance. Where changes go unnoticed, it must not be joined for long.

// parting says which loads may be joined.
type parting struct {
	parts atomic.Uint64 // how often loads have been parted from those who come
	age   atomic.Int64  // how old, in nanoseconds, a load may be that is joined; zero: as old as it gets
}

// boarding is when a load began.
type boarding struct {
	parts uint64
	began time.Time // zero: age was, too
}

func (p *parting) begin() boarding {
	b := boarding{parts: p.parts.Load()}
	if p.age.Load() > 0 {
		b.began = time.Now()
	}
	return b
}

// over reports whether a load that began at b may not be joined any more.
func (p *parting) over(b boarding) bool {
	if b.parts != p.parts.Load() {
		return true
	}
	age := p.age.Load()
	return age > 0 && time.Since(b.began) > time.Duration(age)
}

// Part has nobody join the loads any more that are under way, as changes of their keys may have
// gone unnoticed. From now on loads may be joined until they are of that age; zero: for as long
// as they take.
func (t *Table[V]) Part(age time.Duration) {
	t.parting.age.Store(int64(age))
	t.parting.parts.Add(1)
}
