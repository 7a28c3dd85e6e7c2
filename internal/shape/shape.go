// Package shape tells what of a type a codec cannot store.
package shape

import (
	"fmt"
	"reflect"
	"strings"
)

// maxNames bounds how many fields a warning names.
const maxNames = 5

// Warning returns what is lost when values of type t are stored and read back, for a log line:
// unexported fields, and structs of which nothing can be stored. It returns "" if nothing is
// lost. A type that encodes itself is taken to know what it does.
func Warning(t reflect.Type) string {
	w := walk{seen: make(map[reflect.Type]bool)}
	w.visit(t, "")
	switch {
	case len(w.empty) > 0:
		return fmt.Sprintf("%s has no field that can be stored", list(w.empty))
	case len(w.unexported) > 0:
		return fmt.Sprintf("unexported fields are not stored: %s", list(w.unexported))
	}
	return ""
}

func list(names []string) string {
	if len(names) > maxNames {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), len(names)-maxNames)
	}
	return strings.Join(names, ", ")
}

// walk collects what is lost.
type walk struct {
	seen       map[reflect.Type]bool
	unexported []string // paths of fields
	empty      []string // paths of structs; the type itself is named by its type
}

func (w *walk) visit(t reflect.Type, path string) {
	if t == nil || w.seen[t] || encodesItself(t) {
		return
	}
	w.seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		w.visit(t.Elem(), path)
	case reflect.Struct:
		w.visitStruct(t, path)
	}
}

func (w *walk) visitStruct(t reflect.Type, path string) {
	stored, lost := 0, len(w.unexported)
	for i := range t.NumField() {
		f := t.Field(i)
		name := join(path, f.Name)
		switch {
		case f.Name == "_":
		case f.Anonymous && f.Type.Kind() == reflect.Struct: // its exported fields are stored
			stored++
			w.visit(f.Type, path)
		case !f.IsExported():
			w.unexported = append(w.unexported, name)
		default:
			stored++
			w.visit(f.Type, name)
		}
	}
	if stored == 0 && t.NumField() > 0 {
		w.unexported = w.unexported[:lost]
		if path == "" {
			path = t.String()
		}
		w.empty = append(w.empty, path)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// selfEncoding are the methods by which a type encodes itself for one of the codecs.
var selfEncoding = []string{"MarshalJSON", "MarshalText", "MarshalBinary", "EncodeMsgpack", "MarshalMsgpack", "MarshalMsg"}

func encodesItself(t reflect.Type) bool {
	p := t
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		p = reflect.PointerTo(t)
	}
	for _, name := range selfEncoding {
		if _, ok := p.MethodByName(name); ok {
			return true
		}
	}
	return false
}
