package bound

import (
	"encoding"
	"reflect"
	"sync"
	"time"
)

// Cost is how much memory decoding into a type may take for each element of a list, each pair
// of a map, and each list or map in the payload. It also has what else the checks of a payload
// have to know about the type. A payload can be much smaller than the value: an empty struct is
// one byte of MessagePack, and almost nothing in an S2 block, but a whole struct in memory.
type Cost struct {
	element   uint64 // bytes for the largest element of a list
	pair      uint64 // bytes for the largest pair of a map
	container uint64 // MessagePack: bytes for the largest struct, list or map behind a field's pointer
	scalar    uint64 // MessagePack: bytes for the largest value behind a field's pointer that a string or bytes can fill
	embedded  uint64 // bytes for what the embedded pointers of one struct lead to, all together
	field     uint64 // JSON: bytes for the largest value behind a field's pointer
	fields    uint64 // JSON: bytes for what the pointers of one struct's fields lead to, all together
}

// anyCost is how many bytes count for a value in an interface: the interface and a small value.
const anyCost = 64

// costs caches the cost of each type by its reflect.Type.
var costs sync.Map

// CostOf returns the cost of decoding into a t, which may be nil. It may be called concurrently.
func CostOf(t reflect.Type) Cost {
	if t == nil {
		return Cost{}
	}
	if c, ok := costs.Load(t); ok {
		return c.(Cost)
	}
	v := visitor{seen: make(map[reflect.Type]bool)}
	v.visit(t)
	costs.Store(t, v.cost)
	return v.cost
}

// Destination returns the type that a decoder fills if it is given v: the type of v, or of the
// pointer in the interface that v points to.
func Destination(v any) reflect.Type {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Interface {
		return t
	}
	if inner := reflect.ValueOf(v); !inner.IsNil() && inner.Elem().Elem().Kind() == reflect.Pointer {
		return inner.Elem().Elem().Type()
	}
	return t
}

// AdmitMsgpack returns an error unless a payload of so many stored bytes, which holds n in
// MessagePack, can be decoded into v within MaxMemory. The bound leaves out strings and bytes,
// which take as much memory as they take bytes in the payload.
func (c Cost) AdmitMsgpack(n Counts, stored int, v any) error {
	need := uint64(n.Elements)*(c.element+c.scalar) + uint64(n.Pairs)*(c.pair+c.scalar) + uint64(n.Containers)*(c.container+c.embedded)
	if need > limit(stored) {
		return refuse(n, stored, v, need)
	}
	return nil
}

// AdmitJSON is AdmitMsgpack for a JSON text. A decoder of JSON makes room for what a field
// points to even if the value does not suit the field. So any pair can take that room, but one
// struct takes no more than all of its fields together.
func (c Cost) AdmitJSON(n Counts, stored int, v any) error {
	if need := c.json(uint64(n.Elements), uint64(n.Pairs), uint64(n.Containers)); need > limit(stored) {
		return refuse(n, stored, v, need)
	}
	return nil
}

// AdmitsAnyJSON tells whether AdmitJSON accepts each JSON text of so many bytes, so that
// nobody has to count what it holds.
func (c Cost) AdmitsAnyJSON(stored int) bool {
	// An element takes at least two bytes ("0,"), a pair five (`"":0,`) and a container two ("{}").
	// The last one of each takes one byte less.
	n := uint64(stored)
	return c.json(n/2+1, n/5+1, n/2+1) <= limit(stored)
}

func (c Cost) json(elements, pairs, containers uint64) uint64 {
	return elements*c.element + pairs*c.pair + containers*c.embedded + min(pairs*c.field, containers*c.fields)
}

// visitor finds the cost of the types that it visits.
type visitor struct {
	cost Cost
	seen map[reflect.Type]bool
}

var timeType = reflect.TypeFor[time.Time]()

// visit takes into account the lists, the maps and the pointers that t contains.
func (v *visitor) visit(t reflect.Type) {
	if v.seen[t] || t == timeType { // limit allows for the location that a time points to
		return
	}
	v.seen[t] = true
	c := &v.cost
	switch t.Kind() {
	case reflect.Pointer:
		v.visit(t.Elem())
	case reflect.Slice, reflect.Array:
		c.element = max(c.element, sizeOf(t.Elem(), 0))
		v.visit(t.Elem())
	case reflect.Map:
		c.pair = max(c.pair, sizeOf(t.Key(), 0)+sizeOf(t.Elem(), 0))
		v.visit(t.Key())
		v.visit(t.Elem())
	case reflect.Struct:
		c.embedded = max(c.embedded, embedded(t, 0))
		c.fields = max(c.fields, v.pointers(t, 0))
		for i := range t.NumField() {
			v.visit(t.Field(i).Type)
		}
	case reflect.Interface: // lists and maps of interfaces
		c.element = max(c.element, anyCost)
		c.pair = max(c.pair, 2*anyCost)
	}
}

// pointers takes into account what each pointer among the fields of the struct t leads to, and
// returns the sum. The fields of embedded structs are t's own.
func (v *visitor) pointers(t reflect.Type, depth int) (sum uint64) {
	if depth == maxEmbedded {
		return 0
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if inner := structOf(f.Type); f.Anonymous && inner != nil {
			sum += v.pointers(inner, depth+1)
		}
		if f.Type.Kind() == reflect.Pointer && f.IsExported() {
			sum += v.point(f.Type.Elem())
		}
	}
	return sum
}

// point takes into account one t that a field points to. In MessagePack, each list or map of
// the payload can make one. If t is decoded from a string, each string can. The costs leave out
// values of at most anyCost bytes, which limit allows for.
func (v *visitor) point(t reflect.Type) uint64 {
	size := sizeOf(t, 0)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	c := &v.cost
	switch kind := t.Kind(); {
	case fillsFromScalar(t):
		if size > anyCost {
			c.scalar = max(c.scalar, size)
		}
	case kind == reflect.Struct, kind == reflect.Array, kind == reflect.Slice, kind == reflect.Map:
		c.container = max(c.container, size)
	}
	if size <= anyCost {
		return 0
	}
	c.field = max(c.field, size)
	return size
}

var (
	binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	textUnmarshaler   = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// fillsFromScalar tells whether a t is decoded from one string or bytes, however large it is.
// (A type with methods for MessagePack may be, but a large one refuses them.)
func fillsFromScalar(t reflect.Type) bool {
	if t.Kind() == reflect.Array && t.Elem().Kind() == reflect.Uint8 {
		return true
	}
	p := reflect.PointerTo(t)
	return p.Implements(binaryUnmarshaler) || p.Implements(textUnmarshaler)
}

// maxEmbedded is how many embedded structs inside each other are looked at: a struct can embed
// a pointer to itself.
const maxEmbedded = 8

// embedded returns how much memory the embedded pointers of the struct t lead to. Their fields
// are read as t's own, so that one map of the payload can fill them all.
func embedded(t reflect.Type, depth int) (size uint64) {
	if depth == maxEmbedded {
		return 0
	}
	for i := range t.NumField() {
		f := t.Field(i)
		inner := structOf(f.Type)
		if !f.Anonymous || inner == nil {
			continue
		}
		if f.Type.Kind() == reflect.Pointer {
			size += sizeOf(inner, 0)
		}
		size += embedded(inner, depth+1)
	}
	return size
}

// structOf returns t if it is a struct, the struct that it points to, or nil.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

// sizeOf returns the size of a value of type t with what its pointers point to.
func sizeOf(t reflect.Type, depth int) uint64 {
	switch t.Kind() {
	case reflect.Interface:
		return anyCost
	case reflect.Map: // an empty one has a header
		return uint64(t.Size()) + 48
	case reflect.Pointer:
		if depth < 4 { // pointers to pointers
			return uint64(t.Size()) + sizeOf(t.Elem(), depth+1)
		}
	}
	return uint64(t.Size())
}
