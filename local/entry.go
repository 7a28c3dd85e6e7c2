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
	kept atomic.Pointer[kept]
}

// kept is a decoded value.
type kept struct {
	owner any // whose it is
	value any
}

// NewEntry returns an entry for data, which the caller must not change afterwards.
func NewEntry(data []byte) *Entry { return &Entry{data: textOf(data)} }

// Data returns the stored bytes. The caller must not change them.
func (e *Entry) Data() []byte { return unsafe.Slice(unsafe.StringData(e.data), len(e.data)) }

// Kept returns the value that was kept by Keep for this owner, nil if there is none. The
// owner is compared by ==.
func (e *Entry) Kept(owner any) any {
	if k := e.kept.Load(); k != nil && k.owner == owner {
		return k.value
	}
	return nil
}

// Keep keeps a value that was decoded from the entry's bytes, for Kept with the same owner.
// An entry keeps one value: the latest.
func (e *Entry) Keep(owner, value any) { e.kept.Store(&kept{owner, value}) }

// textOf returns data as a string without a copy: nobody changes data any more.
func textOf(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) }
