// Package encoding turns values into the bytes a cache stores, and back.
//
// A Codec is found by its name. The packages msgpack, msgp, json and sonic below this
// one register theirs when they are imported; RegisterCodec adds your own.
package encoding

import (
	"strings"
	"sync"
)

// Codec encodes and decodes values. Implementations must be safe for concurrent
// use. Unmarshal reads bytes that may come from anyone who can write to the
// remote store: whatever they are, it should answer with an error, not with a
// panic or with an allocation that only the bytes' own length fields justify.
type Codec interface {
	// Marshal returns the encoded form of v. The result belongs to the caller.
	Marshal(v any) ([]byte, error)
	// Unmarshal decodes data into v, a non-nil pointer. It must not keep or
	// change data.
	Unmarshal(data []byte, v any) error
	// Name is the name the codec is registered under; it must not be empty and
	// must always be the same.
	Name() string
}

// codecs maps lower-cased names to codecs.
var codecs = struct {
	sync.RWMutex
	m map[string]Codec
}{m: make(map[string]Codec)}

// RegisterCodec makes codec available under its lower-cased name. A codec
// registered earlier under that name is replaced, also for caches made from then
// on; caches that exist keep theirs. It panics if codec is nil or its name is
// empty. It may be called at any time and from any goroutine.
func RegisterCodec(codec Codec) {
	if codec == nil {
		panic("encoding: RegisterCodec: the codec is nil")
	}
	name := codec.Name()
	if name == "" {
		panic("encoding: RegisterCodec: the codec's Name is empty; give it the name that WithCodec will use")
	}
	codecs.Lock()
	defer codecs.Unlock()
	codecs.m[strings.ToLower(name)] = codec
}

// GetCodec returns the codec registered under name, nil if there is none. Upper
// and lower case are the same. It may be called from any goroutine.
func GetCodec(name string) Codec {
	codecs.RLock()
	defer codecs.RUnlock()
	return codecs.m[strings.ToLower(name)]
}
