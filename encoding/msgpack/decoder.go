package msgpack

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// decoder is a decoder and what it reads from. It remembers the cost of the type that it has
// decoded last, since most callers decode one type only. If a value's own method decodes
// another value by this codec, it gets another decoder.
type decoder struct {
	dec   *msgpack.Decoder
	in    input
	seals wire.Seals // room for those of the next payload
	typ   reflect.Type
	cost  bound.Cost
}

var decoders = sync.Pool{New: func() any { return &decoder{dec: msgpack.NewDecoder(nil)} }}

// maxTime is how many bytes of MessagePack a time can take. The library also reads a text as a
// time. If the text is not a time, the library returns an error whose text is eight times as long.
const maxTime = 128

// decode decodes plain, which comes from so many stored bytes, into v. Nothing in v shares
// memory with plain.
func (d *decoder) decode(plain []byte, stored int, v any) (err error) {
	if t := bound.Destination(v); t != d.typ {
		if err := values.CheckType(t); err != nil {
			return bound.Wrap(Name, err)
		}
		d.typ, d.cost = t, bound.CostOf(t)
	}
	plain, d.seals, err = wire.AdmitSealed(plain, d.seals, stored, v, d.cost)
	if err != nil {
		return bound.Wrap(Name, err)
	}
	if _, ok := v.(*time.Time); ok && len(plain) > maxTime {
		return fmt.Errorf("msgpack: %d bytes are too many for a time", len(plain))
	}
	// The decoder panics on well-formed input that does not suit the destination, such as a
	// map whose key is a list, read into a map[any]any.
	defer func() {
		if r := recover(); r != nil {
			err = bound.Trim(fmt.Errorf("msgpack: decoding into %T: %v", v, r))
		}
	}()
	d.in = input{data: plain, seals: d.seals}
	d.dec.Reset(&d.in) // also takes back the settings that a value's own method has changed
	return bound.Trim(d.dec.Decode(v))
}

// free ends the use of d. It is not called after an error or a panic.
func (d *decoder) free() {
	if d.reusable() {
		d.in = input{}
		decoders.Put(d)
	}
}

// reusable tells whether d may decode another payload. A decoder that was asked for more than
// there was may have been recording a raw message, even if the value did without it, and would
// never stop. A decoder that has read a large payload may have a large buffer: as large as the
// longest string in it.
func (d *decoder) reusable() bool {
	return !d.in.ended && len(d.in.data) <= wire.MaxKept
}
