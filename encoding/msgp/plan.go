package msgp

import (
	"reflect"
	"strings"
	"sync"

	"github.com/tinylib/msgp/msgp"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

var (
	marshalerType   = reflect.TypeFor[msgp.Marshaler]()
	unmarshalerType = reflect.TypeFor[msgp.Unmarshaler]()
)

// plan says how the values of a type are written, and read into what they point to.
type plan struct {
	marshal  func(v any) ([]byte, error) // for a value that has no MarshalMsg to call right away, nil if it has no generated code
	pointers int                         // how many pointers lead to what has UnmarshalMsg, 0 if nothing has
	aliases  bool                        // what is read may share memory with the payload
	cost     bound.Cost
}

// plans has the plan of each type by its reflect.Type.
var plans sync.Map

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{
		marshal:  marshalOf(t),
		pointers: pointersTo(unmarshalerType, t),
		aliases:  aliases(t, make(map[reflect.Type]bool)),
		cost:     bound.CostOf(t),
	}
	actual, _ := plans.LoadOrStore(t, p)
	return actual.(*plan)
}

// pointersTo returns how many pointers lead from a t to a value that has the methods of iface.
// A pointer that has them itself counts, too. It returns 0 if there is no such value.
func pointersTo(iface, t reflect.Type) int {
	for n := 1; t.Kind() == reflect.Pointer; n++ {
		if t.Implements(iface) {
			return n
		}
		t = t.Elem()
	}
	return 0
}

// marshalOf returns what encodes a t that is not a Marshaler, or a nil pointer. It returns nil if
// t has no generated code.
func marshalOf(t reflect.Type) func(v any) ([]byte, error) {
	if n := pointersTo(marshalerType, t); n > 0 {
		return func(v any) ([]byte, error) { return marshalBehind(n, v) }
	}
	if reflect.PointerTo(t).Implements(marshalerType) {
		return marshalCopies(t)
	}
	return nil
}

// marshalBehind encodes the value to which so many pointers lead.
func marshalBehind(pointers int, v any) ([]byte, error) {
	rv := reflect.ValueOf(v)
	for range pointers - 1 {
		if rv.IsNil() {
			break
		}
		rv = rv.Elem()
	}
	if rv.IsNil() {
		return wire.Seal([]byte{codeNil}), nil
	}
	return marshal(rv.Interface().(msgp.Marshaler))
}

// copied is room for a value whose MarshalMsg wants a pointer to it.
type copied struct {
	ptr reflect.Value
	msgp.Marshaler
}

// marshalCopies returns what encodes values of the type t. They have to be copied, so that there
// is a pointer to them. The room for the copies is pooled unless it is large.
func marshalCopies(t reflect.Type) func(v any) ([]byte, error) {
	pool := sync.Pool{New: func() any {
		ptr := reflect.New(t)
		return &copied{ptr, ptr.Interface().(msgp.Marshaler)}
	}}
	return func(v any) ([]byte, error) {
		c := pool.Get().(*copied)
		c.ptr.Elem().Set(reflect.ValueOf(v))
		stored, err := marshal(c.Marshaler)
		if t.Size() <= wire.MaxKept {
			c.ptr.Elem().SetZero()
			pool.Put(c)
		}
		return stored, err
	}
}

// aliases tells whether the code generated for t, or for a type in it, keeps parts of what it
// reads.
func aliases(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Map:
		return aliases(t.Key(), seen) || aliases(t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return aliases(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			// The tag may have any name, by the directive //msgp:tag.
			if strings.Contains(string(f.Tag), "zerocopy") || aliases(f.Type, seen) {
				return true
			}
		}
	}
	return false
}
