package msgpack

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/nesting"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// values checks what is encoded, by the rules of vmihailenco/msgpack.
var values = nesting.New(nesting.Rules{
	Skips: func(f reflect.StructField) bool { return options(f)[0] == "-" },
	Embeds: func(f reflect.StructField) bool {
		return !slices.Contains(options(f)[1:], "noinline")
	},
	Own: []reflect.Type{
		reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.Marshaler](),
		reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.TextMarshaler](),
	},
	EmbedsForEver: true,
	Mend:          ` (tag msgpack:"-")`,
})

// options returns the name in the field's tag, and the options behind it.
func options(f reflect.StructField) []string { return strings.Split(f.Tag.Get("msgpack"), ",") }

// output is what the encoder writes to. It stops an encoder that nests without end. That happens
// if a value's own method lets the encoder encode something that refers back to the value, which
// nobody can see before. Few values are so large that output has to look at what was written.
type output struct {
	bytes.Buffer
	depth wire.Depth
	next  int // how long the output may become before it is looked at again
}

// lookEvery is how many bytes are written between two looks. Each level takes at least one byte,
// and about a KiB of the stack, which may grow to a GiB.
const lookEvery = 64 << 10

var errTooDeep = fmt.Errorf("msgpack: a type's own method encodes more than %d lists and maps inside each other: does its value refer back to itself?", bound.MaxDepth)

// reset makes o empty.
func (o *output) reset() {
	o.Buffer.Reset()
	o.depth, o.next = wire.Depth{}, lookEvery
}

func (o *output) Write(p []byte) (int, error) {
	if o.Len() > o.next {
		if err := o.look(); err != nil {
			return 0, err
		}
	}
	return o.Buffer.Write(p)
}

func (o *output) WriteByte(c byte) error {
	if o.Len() > o.next {
		if err := o.look(); err != nil {
			return err
		}
	}
	return o.Buffer.WriteByte(c)
}

func (o *output) look() error {
	o.next = o.Len() + lookEvery
	if o.depth.TooDeep(o.Bytes()) {
		return errTooDeep
	}
	return nil
}
