// Package fields finds the struct that a payload is decoded into, for the question whether the
// struct has any of the fields of a stored object. The codecs ask their libraries: each name by
// itself is decoded into a new struct by a decoder that refuses unknown fields, so that the
// libraries' own rules of names apply.
package fields

import (
	"reflect"
	"strings"
)

// StructOf returns the type of the struct that v points to, through any number of pointers. It
// returns nil if there is none, or if the struct decodes itself by one of these interfaces.
func StructOf(v any, decoders ...reflect.Type) reflect.Type {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for _, d := range decoders {
		if reflect.PointerTo(t).Implements(d) {
			return nil
		}
	}
	return t
}

// Unknown reports whether err, of a decoder that refuses unknown fields, says that there was one.
// Neither library has an error of its own for that.
func Unknown(err error) bool { return err != nil && strings.Contains(err.Error(), "unknown field") }
