// Package encoding turns values into the bytes a cache stores, and back.
//
// A Codec is found by its name. The packages msgpack, msgp, json and sonic below this one
// register theirs when they are imported. RegisterCodec adds your own.
package encoding

import (
	"strings"
	"sync"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

// Limits of the codecs msgpack, msgp, json and sonic. If a payload exceeds a limit, Unmarshal
// returns an error, and decodes nothing.
const (
	// MaxDepth is how many lists and maps may be inside each other, in what is decoded and in
	// what is encoded: 10,000. A struct counts as a map. Marshal returns an error for a deeper
	// value, and for a value that refers back to itself.
	MaxDepth = bound.MaxDepth
	// MaxMemory is how many bytes of memory the elements of lists, the pairs of maps and what
	// pointers lead to may take in the destination: 256 MiB, or 64 for each byte of the
	// payload if that is more. It is an estimate, made before anything is decoded, from the
	// sizes of the destination's types and from what the payload holds. A decoder that makes
	// a list longer step by step allocates up to five times as much on the way, which the
	// collector takes back. The limit does not cover memory that a type's own method takes.
	MaxMemory = bound.MaxMemory
	// MaxErrorText is how many bytes of text an error of a codec has at most: 1 KiB. The text
	// may quote a part of a value. The error may wrap an error with a longer text.
	MaxErrorText = bound.MaxErrorText
)

// Codec encodes and decodes values. Implementations must be safe for concurrent use.
//
// Anyone who can write to the remote store decides which bytes Unmarshal gets. Unmarshal should
// not panic for any bytes, and it should not allocate more than a documented limit for a few
// bytes. Package encodingtest has a suite that verifies this.
type Codec interface {
	// Marshal returns the encoded form of v. The result belongs to the caller.
	Marshal(v any) ([]byte, error)
	// Unmarshal decodes data into v, a non-nil pointer. It must not keep or change data.
	// After an error, v may be filled in part.
	Unmarshal(data []byte, v any) error
	// Name returns the name under which the codec is registered. It must not be empty, and
	// must always be the same.
	Name() string
}

// codecs maps lower-cased names to codecs.
var codecs = struct {
	sync.RWMutex
	m map[string]Codec
}{m: make(map[string]Codec)}

// RegisterCodec makes codec available under its name in lower case, to the caches that are made
// from then on. It replaces a codec with the same name. Caches that exist keep theirs. It panics
// if codec is nil or its name is empty. It may be called concurrently and at any time.
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

// GetCodec returns the codec that is registered under name, or nil if there is none. Upper and
// lower case are the same. It may be called concurrently.
func GetCodec(name string) Codec {
	codecs.RLock()
	defer codecs.RUnlock()
	return codecs.m[strings.ToLower(name)]
}
