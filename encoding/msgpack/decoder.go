package msgpack

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// decoder is a decoder and what it reads from. It remembers the cost of the type that it has
// last decoded, since most callers decode one type only. A value's own method that decodes
// another value by this codec gets another decoder.
type decoder struct {
	dec  *msgpack.Decoder
	in   input
	typ  reflect.Type
	cost wire.Cost
}

var decoders = sync.Pool{New: func() any { return &decoder{dec: msgpack.NewDecoder(nil)} }}

// decode decodes plain, which is out of so many stored bytes, into v. Nothing in v shares
// memory with plain.
func (d *decoder) decode(plain []byte, stored int, v any) (err error) {
	if t := reflect.TypeOf(v); t != d.typ {
		d.typ, d.cost = t, wire.CostOf(t)
	}
	if err := wire.Admit(plain, stored, v, d.cost); err != nil {
		return fmt.Errorf("msgpack: %w", err)
	}
	// The decoder panics on well-formed input that does not suit the destination,
	// such as a map whose key is a list read into a map[any]any.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("msgpack: decoding into %T: %v", v, r)
		}
	}()
	d.in = input{data: plain}
	d.dec.Reset(&d.in) // also takes back what a value's own method has set
	return d.dec.Decode(v)
}

// free ends the use of d. It is not called after an error or a panic.
func (d *decoder) free() {
	if d.reusable() {
		d.in = input{}
		decoders.Put(d)
	}
}

// reusable tells whether d may decode another payload. One that was asked for more than there
// was may have been recording it for a raw message, even if the value did without, and would
// never stop. One that has read a large payload may have a large buffer: as large as the
// longest string in it.
func (d *decoder) reusable() bool {
	return !d.in.ended && len(d.in.data) <= wire.MaxKept
}
