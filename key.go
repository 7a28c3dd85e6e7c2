package cache

import (
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"unsafe"
)

// keyBuffer holds the text of a key for as long as it is looked up in a local store that
// does not keep it. Most reads need no more than that: only a miss makes a string of it.
type keyBuffer struct{ text []byte }

var keyBuffers = sync.Pool{New: func() any { return &keyBuffer{make([]byte, 0, 128)} }}

// maxKeyBuffer is the length of the longest buffer that is used again.
const maxKeyBuffer = 4 << 10

// newKeyBuffer returns a buffer with the key of an id.
func newKeyBuffer[K comparable](prefix, separator string, id K) *keyBuffer {
	b := keyBuffers.Get().(*keyBuffer)
	b.text = appendKey(b.text[:0], prefix, separator, id)
	return b
}

// view returns the key in the buffer's own memory, which release gives to others.
func (b *keyBuffer) view() string { return unsafe.String(unsafe.SliceData(b.text), len(b.text)) }

// key returns the key in memory of its own.
func (b *keyBuffer) key() string { return string(b.text) }

func (b *keyBuffer) release() {
	if cap(b.text) <= maxKeyBuffer {
		keyBuffers.Put(b)
	}
}

// appendKey appends to b the key of an id: a prefix, the separator, and the id as fmt.Sprint
// prints it.
func appendKey[K comparable](b []byte, prefix, separator string, id K) []byte {
	b = append(append(b, prefix...), separator...)
	switch id := any(id).(type) {
	case string:
		return append(b, id...)
	case int:
		return strconv.AppendInt(b, int64(id), 10)
	case int64:
		return strconv.AppendInt(b, id, 10)
	case int32:
		return strconv.AppendInt(b, int64(id), 10)
	case uint:
		return strconv.AppendUint(b, uint64(id), 10)
	case uint64:
		return strconv.AppendUint(b, id, 10)
	case uint32:
		return strconv.AppendUint(b, uint64(id), 10)
	}
	return appendOther(b, id)
}

// appendOther appends ids of less common types. A type with methods may print itself.
func appendOther[K comparable](b []byte, id K) []byte {
	if t := reflect.TypeFor[K](); t.NumMethod() == 0 {
		switch v := reflect.ValueOf(id); t.Kind() {
		case reflect.String:
			return append(b, v.String()...)
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			return strconv.AppendInt(b, v.Int(), 10)
		case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			return strconv.AppendUint(b, v.Uint(), 10)
		}
	}
	return fmt.Append(b, id)
}
