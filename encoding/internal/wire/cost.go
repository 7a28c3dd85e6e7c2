package wire

import (
	"encoding"
	"reflect"
	"sync"
)

// Cost is what decoding into a type may take for each value of a list, each pair of a map,
// and each list or map that the payload holds: an empty struct is one byte of MessagePack,
// and next to nothing of S2, but a whole struct in memory.
type Cost struct {
	element   uint64 // bytes for the costliest element of a list
	pair      uint64 // bytes for the costliest pair of a map
	container uint64 // bytes for the costliest struct, list or map behind a field's pointers
}

// anyCost is taken for a value of an interface type: the interface, and a small value.
const anyCost = 64

// memory returns an upper bound of what decoding takes, beside strings and bytes, which
// take what they take in the payload.
func (c Cost) memory(n counts) uint64 {
	return uint64(n.elements)*c.element + uint64(n.pairs)*c.pair + uint64(n.containers)*c.container
}

// costs caches the cost of each type by its reflect.Type.
var costs sync.Map

// CostOf returns the cost of decoding into a t, which may be nil.
func CostOf(t reflect.Type) Cost {
	if t == nil {
		return Cost{}
	}
	if c, ok := costs.Load(t); ok {
		return c.(Cost)
	}
	v := visitor{seen: make(map[reflect.Type]bool)}
	v.visit(t)
	c := v.cost()
	costs.Store(t, c)
	return c
}

// visitor finds the cost of the types that it visits.
type visitor struct {
	seen     map[reflect.Type]bool
	inLists  Cost   // what lists and maps hold
	pointed  uint64 // the most that a field's pointers lead to
	embedded uint64 // the most that a struct's embedded pointers lead to, taken together
	scalar   uint64 // the most that a field's pointers lead to and a mere string or bytes can fill
}

func (v *visitor) cost() Cost {
	return Cost{
		element:   v.inLists.element + v.scalar,
		pair:      v.inLists.pair + v.scalar,
		container: v.pointed + v.embedded,
	}
}

// visit takes into account the lists, the maps and the pointers that t contains.
func (v *visitor) visit(t reflect.Type) {
	if v.seen[t] {
		return
	}
	v.seen[t] = true
	switch t.Kind() {
	case reflect.Pointer:
		v.visit(t.Elem())
	case reflect.Slice, reflect.Array:
		v.inLists.element = max(v.inLists.element, sizeOf(t.Elem(), 0))
		v.visit(t.Elem())
	case reflect.Map:
		v.inLists.pair = max(v.inLists.pair, sizeOf(t.Key(), 0)+sizeOf(t.Elem(), 0))
		v.visit(t.Key())
		v.visit(t.Elem())
	case reflect.Struct:
		v.embedded = max(v.embedded, embedded(t, 0))
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Type.Kind() == reflect.Pointer && f.IsExported() {
				v.point(f.Type.Elem())
			}
			v.visit(f.Type)
		}
	case reflect.Interface: // lists and maps of interfaces
		v.inLists.element = max(v.inLists.element, anyCost)
		v.inLists.pair = max(v.inLists.pair, 2*anyCost)
	}
}

// point takes into account what a field's pointer leads to: one t for each list or map of the
// payload, or for each of its values, if one of those is enough for a t.
func (v *visitor) point(t reflect.Type) {
	size := sizeOf(t, 0)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch kind := t.Kind(); {
	case fillsFromScalar(t):
		if size > anyCost { // what is smaller takes little more than in the payload
			v.scalar = max(v.scalar, size)
		}
	case kind == reflect.Struct, kind == reflect.Array, kind == reflect.Slice, kind == reflect.Map:
		v.pointed = max(v.pointed, size)
	}
}

var (
	binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	textUnmarshaler   = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// fillsFromScalar tells whether a t is decoded from a mere string or bytes, however large it
// is. (A type with methods for MessagePack may be, but one that is large refuses them.)
func fillsFromScalar(t reflect.Type) bool {
	if t.Kind() == reflect.Array && t.Elem().Kind() == reflect.Uint8 {
		return true
	}
	p := reflect.PointerTo(t)
	return p.Implements(binaryUnmarshaler) || p.Implements(textUnmarshaler)
}

// embedded returns what the embedded pointers of the struct t lead to. Their fields are read
// as t's own, so that one map of the payload can fill them all.
func embedded(t reflect.Type, depth int) (size uint64) {
	if depth == 8 { // a struct that embeds a pointer to itself
		return 0
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.Anonymous {
			continue
		}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
			size += sizeOf(inner, 0)
		}
		if inner.Kind() == reflect.Struct {
			size += embedded(inner, depth+1)
		}
	}
	return size
}

// sizeOf returns the size of a value of type t with what its pointers point to.
func sizeOf(t reflect.Type, depth int) uint64 {
	switch t.Kind() {
	case reflect.Interface:
		return anyCost
	case reflect.Map: // an empty one has a header
		return uint64(t.Size()) + 48
	case reflect.Pointer:
		if depth < 4 { // pointers to pointers to …
			return uint64(t.Size()) + sizeOf(t.Elem(), depth+1)
		}
	}
	return uint64(t.Size())
}
