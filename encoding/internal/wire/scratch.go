package wire

import "sync"

// MaxKept is the largest buffer that goes back into a pool. Values in a cache are smaller
// nearly always; for one that is larger, making a buffer is little beside encoding it. A pool
// has a few buffers for each processor, so what all of them keep stays below a MiB each, and
// a single large value does not hold its memory until the collector has run twice.
const MaxKept = 64 << 10

// Scratch is a buffer out of a pool, for one goroutine until Free.
type Scratch struct{ B []byte }

var scratches = sync.Pool{New: func() any { return new(Scratch) }}

// GetScratch returns a Scratch whose B is empty and has room for n bytes.
func GetScratch(n int) *Scratch {
	if n > MaxKept {
		return &Scratch{B: make([]byte, 0, n)}
	}
	s := scratches.Get().(*Scratch)
	if cap(s.B) < n {
		s.B = make([]byte, 0, n)
	}
	s.B = s.B[:0]
	return s
}

// Free ends the use of s and of its B. Where a panic may have left B to somebody else, s is
// better dropped.
func (s *Scratch) Free() {
	if cap(s.B) <= MaxKept {
		scratches.Put(s)
	}
}
