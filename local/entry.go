package local

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Entry is what a store that keeps values has under a key: the stored bytes and, once
// somebody has decoded them, what they mean. It belongs to one Set of one key, so that a
// value can never be taken for that of newer bytes. Its methods may be called from any
// goroutine.
type Entry struct {
	// data are the stored bytes, which never change; as a string they take 8 bytes less.
	data string
	ttl  time.Duration // of Otter: how long the entry lives
	kept atomic.Pointer[Kept]
}

// Kept is a decoded value that is kept in an entry. It is not changed afterwards.
type Kept struct {
	Owner any // whose it is; compared by ==
	Value any
}

// NewEntry returns an entry for data, which the caller must not change afterwards.
func NewEntry(data []byte) *Entry { return &Entry{data: textOf(data)} }

// Data returns the stored bytes. The caller must not change them.
func (e *Entry) Data() []byte { return unsafe.Slice(unsafe.StringData(e.data), len(e.data)) }

// Text returns the stored bytes as a string, without a copy.
func (e *Entry) Text() string { return e.data }

// Holds reports whether the entry was made of data: of the very same memory.
func (e *Entry) Holds(data []byte) bool {
	return len(e.data) == len(data) && unsafe.StringData(e.data) == unsafe.SliceData(data)
}

// Kept returns what was kept by Keep, nil if that is nothing.
func (e *Entry) Kept() *Kept { return e.kept.Load() }

// Keep keeps a value that was decoded from the entry's bytes. An entry keeps one value, the
// latest.
func (e *Entry) Keep(k *Kept) { e.kept.Store(k) }

// Become makes e, which nobody else knows yet, an entry of the same bytes as old that keeps k;
// see EntryReplacer. The Kept may lie in the same memory as e.
func (e *Entry) Become(old *Entry, k *Kept) {
	e.data = old.data
	e.kept.Store(k)
}

// textOf returns data as a string without a copy: nobody changes data any more.
func textOf(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) }
