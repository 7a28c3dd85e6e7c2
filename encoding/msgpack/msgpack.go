// Package msgpack is the codec "msgpack", the default: MessagePack as
// vmihailenco/msgpack v5 writes it, followed by one trailer byte that says
// whether what precedes it is plain (0x00) or an S2 block (0x01).
//
// Both forms are read at any length. S2 is written from 64 bytes on, and only
// where it makes the value smaller by an eighth or more.
//
// What is read is not trusted: before anything is decoded, the announced sizes
// are held against the bytes that are there, the nesting against MaxDepth, and
// what it would take in memory against MaxMemory.
package msgpack

import (
	"fmt"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// Name is what WithCodec calls this codec.
const Name = "msgpack"

// Limits of what is decoded.
const (
	// MaxDepth is how deep arrays and maps may nest: 10,000.
	MaxDepth = bound.MaxDepth
	// MaxDecodedSize is how many bytes an S2 block may announce: 64 MiB.
	MaxDecodedSize = bound.MaxDecodedSize
	// MaxMemory is how many bytes the elements of lists, the pairs of maps and what pointers
	// lead to may take in the destination: 256 MiB, or 64 for each byte of the payload if
	// that is more.
	MaxMemory = bound.MaxMemory
)

func init() { encoding.RegisterCodec(codec{}) }

type codec struct{}

func (codec) Name() string { return Name }

func (codec) Marshal(v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	e.enc.Reset(&e.buf) // also takes back what a value's own method has set
	if err := e.enc.Encode(v); err != nil {
		return nil, bound.Trim(err)
	}
	stored := wire.Seal(e.buf.Bytes())
	e.free()
	return stored, nil
}

func (codec) Unmarshal(data []byte, v any) error {
	plain, scratch, err := wire.OpenScratch(data)
	if err != nil {
		return fmt.Errorf("msgpack: %w", err)
	}
	d := decoders.Get().(*decoder)
	if err := d.decode(plain, len(data), v); err != nil {
		return err
	}
	d.free()
	if scratch != nil {
		scratch.Free()
	}
	return nil
}
