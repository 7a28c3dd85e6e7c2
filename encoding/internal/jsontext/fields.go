package jsontext

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/fields"
)

// MatchesNoField reports whether text is an object with fields, of which the struct that v points
// to has none.
func MatchesNoField(text []byte, v any) bool {
	t := fields.StructOf(v, reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]())
	if t == nil {
		return false
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil || len(object) == 0 {
		return false
	}
	for name := range object {
		if hasField(t, name) {
			return false
		}
	}
	return true
}

func hasField(t reflect.Type, name string) bool {
	one, err := json.Marshal(map[string]any{name: nil})
	if err != nil {
		return true
	}
	dec := json.NewDecoder(bytes.NewReader(one))
	dec.DisallowUnknownFields()
	return !fields.Unknown(dec.Decode(reflect.New(t).Interface()))
}
