package msgpack

import (
	"bytes"
	stdencoding "encoding"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/fields"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// MatchesNoField is that of encoding.FieldMatcher. Names match as in the library.
func (codec) MatchesNoField(data []byte, v any) bool {
	t := fields.StructOf(v,
		reflect.TypeFor[msgpack.CustomDecoder](), reflect.TypeFor[msgpack.Unmarshaler](),
		reflect.TypeFor[stdencoding.BinaryUnmarshaler](), reflect.TypeFor[stdencoding.TextUnmarshaler]())
	if t == nil {
		return false
	}
	plain, scratch, err := wire.OpenScratch(data)
	if err != nil {
		return false
	}
	none := matchesNone(plain, t)
	if scratch != nil {
		scratch.Free()
	}
	return none
}

// matchesNone reports whether plain is a map with keys, none of which names a field of t.
func matchesNone(plain []byte, t reflect.Type) bool {
	dec := msgpack.NewDecoder(bytes.NewReader(plain))
	n, err := dec.DecodeMapLen()
	if err != nil || n <= 0 {
		return false
	}
	for range n {
		name, err := dec.DecodeString()
		if err != nil || dec.Skip() != nil || hasField(t, name) {
			return false
		}
	}
	return true
}

func hasField(t reflect.Type, name string) bool {
	one, err := msgpack.Marshal(map[string]any{name: nil})
	if err != nil {
		return true
	}
	dec := msgpack.NewDecoder(bytes.NewReader(one))
	dec.DisallowUnknownFields(true)
	return !fields.Unknown(dec.Decode(reflect.New(t).Interface()))
}
