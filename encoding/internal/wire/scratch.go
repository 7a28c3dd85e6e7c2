package wire

import "sync"

// MaxKept is how many bytes a buffer may have to go back into a pool. Nearly all values in a cache
// are smaller. For a larger value, a new buffer costs little compared with encoding it. A pool
// has a few buffers for each processor, which take less than a MiB together. A single large value
// does not hold its memory until the collector has run twice.
const MaxKept = 64 << 10

// Scratch is a buffer from a pool. It belongs to one goroutine until Free.
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

// Free ends the use of s and of its B. It must not be called after a panic in a user's method,
// which may have kept B.
func (s *Scratch) Free() {
	if cap(s.B) <= MaxKept {
		scratches.Put(s)
	}
}
