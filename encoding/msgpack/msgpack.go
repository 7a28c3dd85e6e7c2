// Package msgpack is the codec "msgpack", the default: MessagePack as
// vmihailenco/msgpack v5 writes it, followed by one trailer byte that says
// whether what precedes it is plain (0x00) or an S2 block (0x01).
//
// Both forms are read at any length. S2 is written from 64 bytes on, and only
// where it makes the value smaller.
//
// What is read is not trusted: before anything is decoded, the announced sizes
// are held against the bytes that are there, the nesting against MaxDepth, and
// what it would take in memory against MaxMemory.
package msgpack

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding"
)

// Name is what WithCodec calls this codec.
const Name = "msgpack"

// Limits of what is decoded.
const (
	// MaxDepth is how deep arrays and maps may nest.
	MaxDepth = 10_000
	// MaxDecodedSize is how many bytes an S2 block may announce.
	MaxDecodedSize = 64 << 20
	// MaxMemory is how many bytes the elements of lists and the pairs of maps may take in
	// the destination, or memoryPerByte for each byte of the payload if that is more.
	MaxMemory     = 256 << 20
	memoryPerByte = 64
)

// minCompressed is the length from which compression is tried.
const minCompressed = 64

// The trailer bytes.
const (
	trailerPlain = 0x00
	trailerS2    = 0x01
)

func init() { encoding.RegisterCodec(codec{}) }

type codec struct{}

func (codec) Name() string { return Name }

func (codec) Marshal(v any) ([]byte, error) {
	b, err := msgpack.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(b) >= minCompressed {
		if packed := s2.Encode(nil, b); len(packed) < len(b) && len(b) <= MaxDecodedSize {
			return append(packed, trailerS2), nil
		}
	}
	return append(b, trailerPlain), nil
}

func (codec) Unmarshal(data []byte, v any) (err error) {
	plain, err := unpack(data)
	if err != nil {
		return err
	}
	n, err := check(plain)
	if err != nil {
		return err
	}
	if need, limit := costOf(v).memory(n), max(MaxMemory, memoryPerByte*uint64(len(data))); need > limit {
		return fmt.Errorf("msgpack: %d list elements and %d map pairs in %d bytes would take up to %d bytes as a %T, more than %d", n.elements, n.pairs, len(data), need, v, limit)
	}
	// The decoder panics on well-formed input that does not suit the destination,
	// such as a map whose key is a list read into a map[any]any.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("msgpack: decoding into %T: %v", v, r)
		}
	}()
	return msgpack.Unmarshal(plain, v)
}

// unpack takes off the trailer, and the compression where there is one.
func unpack(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errors.New("msgpack: the payload is empty: not even a trailer byte")
	}
	body, trailer := data[:len(data)-1], data[len(data)-1]
	switch trailer {
	case trailerPlain:
		return body, nil
	case trailerS2:
		n, err := s2.DecodedLen(body)
		if err != nil {
			return nil, fmt.Errorf("msgpack: reading the S2 block's length: %w", err)
		}
		if n > MaxDecodedSize {
			return nil, fmt.Errorf("msgpack: the S2 block announces %d bytes, more than %d", n, MaxDecodedSize)
		}
		plain, err := s2.Decode(nil, body)
		if err != nil {
			return nil, fmt.Errorf("msgpack: reading the S2 block: %w", err)
		}
		return plain, nil
	default:
		return nil, fmt.Errorf("msgpack: unknown trailer byte %#02x; was the value written with another codec?", trailer)
	}
}
