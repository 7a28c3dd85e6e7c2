// Package msgpack is the codec "msgpack", the default: MessagePack as vmihailenco/msgpack v5
// writes it, and then one trailer byte. The trailer says whether the bytes before it are plain
// (0x00) or an S2 block (0x01).
//
// Both forms are read at any length. S2 is written from 64 bytes on, and only if it makes the
// value smaller by an eighth or more.
//
// The codec does not trust what it reads. Before it decodes anything, it verifies that the bytes
// for every length in the payload are there, that no more than MaxDepth lists and maps are
// inside each other, and that the value takes no more than MaxMemory.
package msgpack

import (
	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// Name is what WithCodec calls this codec.
const Name = "msgpack"

// Limits of this codec and of the codec "msgp".
const (
	// MaxDepth is encoding.MaxDepth: 10,000 lists and maps inside each other.
	MaxDepth = encoding.MaxDepth
	// MaxDecodedSize is how many bytes an S2 block may unpack to: 64 MiB.
	MaxDecodedSize = bound.MaxDecodedSize
	// MaxMemory is encoding.MaxMemory: 256 MiB, or 64 for each byte of the payload if that is
	// more. The payload counts as it is stored.
	MaxMemory = encoding.MaxMemory
)

func init() { encoding.RegisterCodec(codec{}) }

type codec struct{}

func (codec) Name() string { return Name }

func (codec) Marshal(v any) ([]byte, error) {
	if err := values.Check(v); err != nil {
		return nil, bound.Wrap(Name, err)
	}
	e := encoders.Get().(*encoder)
	e.buf.reset()
	e.enc.Reset(&e.buf) // also takes back the settings that a value's own method has changed
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
		return bound.Wrap(Name, err)
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
