package wire

import (
	"reflect"
	"sync"
)

// cost is what decoding into a type may take for each value of a list and each pair of a
// map that the payload holds: an empty struct is one byte of MessagePack, and next to
// nothing of S2, but a whole struct in memory.
type cost struct {
	element uint64 // bytes for the costliest element of a list
	pair    uint64 // bytes for the costliest pair of a map
}

// anyCost is taken for a value of an interface type: the interface, and a small value.
const anyCost = 64

// memory returns an upper bound of what decoding takes, beside strings and bytes, which
// take what they take in the payload.
func (c cost) memory(n counts) uint64 {
	return uint64(n.elements)*c.element + uint64(n.pairs)*c.pair
}

// costs caches the cost of each type by its reflect.Type.
var costs sync.Map

// costOf returns the cost of decoding into v.
func costOf(v any) cost {
	t := reflect.TypeOf(v)
	if t == nil {
		return cost{}
	}
	if c, ok := costs.Load(t); ok {
		return c.(cost)
	}
	var c cost
	c.visit(t, make(map[reflect.Type]bool))
	costs.Store(t, c)
	return c
}

// visit takes into account the lists and maps that t contains.
func (c *cost) visit(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer:
		c.visit(t.Elem(), seen)
	case reflect.Slice, reflect.Array:
		c.element = max(c.element, sizeOf(t.Elem(), 0))
		c.visit(t.Elem(), seen)
	case reflect.Map:
		c.pair = max(c.pair, sizeOf(t.Key(), 0)+sizeOf(t.Elem(), 0))
		c.visit(t.Key(), seen)
		c.visit(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			c.visit(t.Field(i).Type, seen)
		}
	case reflect.Interface: // lists and maps of interfaces
		c.element = max(c.element, anyCost)
		c.pair = max(c.pair, 2*anyCost)
	}
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
