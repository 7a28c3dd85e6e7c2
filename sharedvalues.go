package cache

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/local"
)

// A local store that keeps entries (local.EntryGetter) can keep the decoded value beside the
// stored bytes. T then answers hits without decoding. All callers get the same value then, so
// that happens only where nobody can change it for the others: for types that hold nothing
// which could be changed, and for those of which WithSharedValues or WithClone say so.

// sharing says how T hands out kept values of one type.
type sharing struct {
	clone any // a func(V) V; nil if values are handed out as they are
}

// WithSharedValues makes T return values of type V from the local level as they are, without
// decoding. All callers then share what V refers to (slices, maps, pointers), so nobody may change it.
// Give this option once for each such type; V is the second type argument of T. It works with stores
// that keep values (local.NewOtter, local.NewTinyLFU) and has no effect on others. A kept value takes
// memory beside its stored bytes, from its first hit on.
//
// Default: T decodes a copy for each caller. Types without slices, maps, pointers, interfaces,
// functions and channels (strings and time.Time are fine) are always kept, because copies of them
// share nothing that could be changed. Once and Get of a Cache always decode.
func WithSharedValues[V any]() Option {
	return func(o *Options) { o.share(reflect.TypeFor[V](), sharing{}) }
}

// WithClone makes T return copies of values of type V from the local level, which clone makes,
// instead of decoding each time. Use it for types that are cheaper to copy than to decode. clone must
// return a value that shares nothing with its argument that a caller may change. It must not change
// its argument, which may be a zero value or a nil pointer if that is what was stored. Many
// goroutines call it at a time, and its panics reach the reader. It is used only with stores that
// keep values, as with WithSharedValues. New panics if clone is nil.
func WithClone[V any](clone func(V) V) Option {
	if clone == nil {
		return func(*Options) {
			panic(fmt.Sprintf("cache: New: WithClone[%s] was given nil; give the function that copies a value, or use WithSharedValues", reflect.TypeFor[V]()))
		}
	}
	return func(o *Options) { o.share(reflect.TypeFor[V](), sharing{clone}) }
}

func (o *Options) share(t reflect.Type, s sharing) {
	if o.shared == nil {
		o.shared = make(map[reflect.Type]sharing)
	}
	o.shared[t] = s
}

// decoded is what an entry keeps for T: a value of exactly the type V.
type decoded[V any] struct {
	entry local.Entry // the entry that keeps it, if the store can have it here
	kept  local.Kept  // its Value is this decoded itself
	clone func(V) V   // nil if value is returned as it is
	value V
}

// give returns the value for a caller.
func (d *decoded[V]) give() V {
	if d.clone != nil {
		return d.clone(d.value)
	}
	return d.value
}

// keptIn returns what an entry keeps for V, nil if that is nothing.
func keptIn[V any](c *jetCache, e *local.Entry) *decoded[V] {
	k := e.Kept()
	if k == nil || k.Owner != any(c.owner) {
		return nil
	}
	d, _ := k.Value.(*decoded[V])
	return d
}

// answer is what the local level says of a key.
type answer uint8

const (
	nothing answer = iota // it does not have it
	value                 // a value
	absent                // the record does not exist
	damaged               // bytes that cannot be decoded
)

// textIn returns the value of an entry if V is string: the stored bytes, which do not change.
// e may be nil; a placeholder is no value.
func textIn[V any](e *local.Entry) (v V, ok bool) {
	s, ok := any(&v).(*string)
	if !ok || e == nil || record.IsPlaceholder(e.Data()) {
		return v, false
	}
	*s = e.Text()
	return v, true
}

// valueOf returns what an entry's bytes mean: what is kept beside them or, the first time and
// for types that cannot be shared, what they decode to. The error is that of damaged ones.
func valueOf[V any](c *jetCache, key string, e *local.Entry) (V, answer, error) {
	if d := keptIn[V](c, e); d != nil {
		return d.give(), value, nil
	}
	if v, ok := textIn[V](e); ok {
		return v, value, nil
	}
	v, a, err := decodeBytes[V](c, key, e.Data())
	if a != value {
		return v, a, err
	}
	s, ok := c.sharingOf(reflect.TypeFor[V]())
	if !ok {
		return v, value, nil
	}
	d := &decoded[V]{value: v}
	d.clone, _ = s.clone.(func(V) V)
	d.kept = local.Kept{Owner: c.owner, Value: d}
	c.local.Memoize(key, e, &d.entry, &d.kept)
	return d.give(), value, nil
}

// decodeBytes returns what stored bytes mean.
func decodeBytes[V any](c *jetCache, key string, data []byte) (V, answer, error) {
	if record.IsPlaceholder(data) {
		var zero V
		return zero, absent, nil
	}
	v, err := decodeValue[V](c, key, data)
	if err != nil {
		return v, damaged, err
	}
	return v, value, nil
}

// decodeValue decodes bytes that are no placeholder.
func decodeValue[V any](c *jetCache, key string, data []byte) (V, error) {
	var v V
	if err := c.decode(key, data, &v); err != nil {
		var zero V
		return zero, err
	}
	return v, nil
}

// sharingOf reports whether values of type t may be shared, and how.
func (c *jetCache) sharingOf(t reflect.Type) (sharing, bool) {
	if s, ok := c.shared[t]; ok {
		return s, true
	}
	return sharing{}, immutable(t)
}

// immutables caches the result of immutable by type.
var immutables sync.Map

// immutable reports whether copies of a value of type t share nothing that can be changed.
func immutable(t reflect.Type) bool {
	if known, ok := immutables.Load(t); ok {
		return known.(bool)
	}
	result := hasNoReferences(t)
	immutables.Store(t, result)
	return result
}

func hasNoReferences(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() {
		return true // it points to its location, which nobody can change
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return true
	case reflect.Array:
		return hasNoReferences(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !hasNoReferences(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return false
}
