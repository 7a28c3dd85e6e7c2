package local

import (
	"sync/atomic"
	"unsafe"
)

// Entry is what a store with the ability EntryGetter has under a key: the stored bytes and, once a
// reader has decoded them, the decoded value. An Entry belongs to one Set of one key, so a decoded
// value can never be taken for that of newer bytes. Its methods may be called concurrently, apart
// from Become.
type Entry struct {
	// data are the stored bytes. They never change. A string takes 8 bytes less than a slice.
	data string
	kept atomic.Pointer[Kept]
	times
}

// Kept is a decoded value that is kept in an Entry. It must not be changed after Keep or Become.
type Kept struct {
	Owner any // the cache that has decoded the value; compared by ==
	Value any
}

// NewEntry returns an Entry for data. The caller must not change data afterwards.
func NewEntry(data []byte) *Entry { return &Entry{data: textOf(data)} }

// newEntry returns an Entry for data that lives as t says.
func newEntry(data []byte, t times) *Entry { return &Entry{data: textOf(data), times: t} }

// lived returns the entry, and what of its life has passed at the time now. ok is false if it has ended.
func (e *Entry) lived(now int64) (l Lived, ok bool) {
	l, ok = e.times.lived(now)
	if !ok {
		return Lived{}, false
	}
	l.Data, l.Entry = e.Data(), e
	return l, true
}

// readable returns the entry, and whether Get returns it at the time now.
func (e *Entry) readable(now int64) (*Entry, bool) {
	if now >= e.until {
		return nil, false
	}
	return e, true
}

// Data returns the stored bytes without a copy. The caller must not change them.
func (e *Entry) Data() []byte { return unsafe.Slice(unsafe.StringData(e.data), len(e.data)) }

// Text returns the stored bytes as a string, without a copy.
func (e *Entry) Text() string { return e.data }

// Holds reports whether the Entry was made of data: of the same memory, not of equal bytes.
func (e *Entry) Holds(data []byte) bool {
	return len(e.data) == len(data) && unsafe.StringData(e.data) == unsafe.SliceData(data)
}

// Kept returns what Keep has kept last, or nil if nothing was kept.
func (e *Entry) Kept() *Kept { return e.kept.Load() }

// Keep keeps a value that was decoded from the bytes of the Entry. It replaces the value that was
// kept before.
func (e *Entry) Keep(k *Kept) { e.kept.Store(k) }

// Become makes e an Entry of the same bytes and the same life as old that keeps k. It is meant for EntryReplacer. No
// other goroutine may know e yet. The Kept may lie in the same memory as e.
func (e *Entry) Become(old *Entry, k *Kept) {
	e.data, e.times = old.data, old.times
	e.kept.Store(k)
}

// textOf returns data as a string without a copy. Nobody may change data afterwards.
func textOf(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) }
