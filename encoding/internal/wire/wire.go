// Package wire is shared by the codecs that write MessagePack. It has the form in which a value
// is stored, and the checks that a stored value has to pass before anything is decoded from it.
//
// The stored form is MessagePack and one trailer byte. The trailer says whether the bytes before
// it are plain (0x00) or an S2 block (0x01).
package wire

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

// minCompressed is how many bytes a value has at least to be compressed.
const minCompressed = 64

// The trailer bytes.
const (
	trailerPlain = 0x00
	trailerS2    = 0x01
)

// worthwhile says how much S2 has to save: one part in so many. To read a block takes 300 ns for
// a value of 300 bytes, which is a tenth of the time to decode it. A few bytes are not worth
// that. Whether S2 saves them can also depend on the order of a map.
const worthwhile = 8

// Seal returns the stored form of plain, which is an S2 block if that is smaller by an eighth.
// The stored form shares no memory with plain. It takes one allocation of exactly its length.
//
// To find out that S2 does not help takes about 200 ns for 300 bytes. Nothing is much faster:
// s2.EstimateBlockSize takes 160 ns, and a scan for four bytes that come twice finds some in most
// values, although they do not save an eighth.
func Seal(plain []byte) []byte {
	if len(plain) < minCompressed || len(plain) > bound.MaxDecodedSize {
		return seal(plain, trailerPlain)
	}
	s := GetScratch(s2.MaxEncodedLen(len(plain)))
	defer s.Free()
	if packed := s2.Encode(s.B, plain); len(packed) <= len(plain)-len(plain)/worthwhile {
		return seal(packed, trailerS2)
	}
	return seal(plain, trailerPlain)
}

func seal(body []byte, trailer byte) []byte {
	stored := make([]byte, len(body)+1)
	stored[copy(stored, body)] = trailer
	return stored
}

// Open returns the MessagePack of a stored value. It is a part of stored, or newly allocated.
func Open(stored []byte) (plain []byte, err error) {
	body, size, err := split(stored)
	if err != nil || size < 0 {
		return body, err
	}
	return unpack(nil, body)
}

// OpenScratch is Open for a decoder that copies everything that it reads. The MessagePack is a
// part of stored, or in the Scratch, which the caller may free when nobody reads it any more.
func OpenScratch(stored []byte) (plain []byte, s *Scratch, err error) {
	body, size, err := split(stored)
	if err != nil || size < 0 {
		return body, nil, err
	}
	s = GetScratch(size)
	plain, err = unpack(s.B, body)
	return plain, s, err
}

// split takes off the trailer. The size is how many bytes the S2 block unpacks to, or negative
// if the body is plain.
func split(stored []byte) (body []byte, size int, err error) {
	if len(stored) == 0 {
		return nil, 0, errors.New("the payload is empty: not even a trailer byte")
	}
	body, trailer := stored[:len(stored)-1], stored[len(stored)-1]
	switch trailer {
	case trailerPlain:
		return body, -1, nil
	case trailerS2:
		size, err := s2.DecodedLen(body)
		if err != nil {
			return nil, 0, fmt.Errorf("reading the S2 block's length: %w", err)
		}
		if size > bound.MaxDecodedSize {
			return nil, 0, fmt.Errorf("the S2 block announces %d bytes, more than %d", size, bound.MaxDecodedSize)
		}
		return body, size, nil
	default:
		return nil, 0, fmt.Errorf("unknown trailer byte %#02x; was the value written with another codec?", trailer)
	}
}

// unpack reads the S2 block into dst, if it has the room.
func unpack(dst, block []byte) ([]byte, error) {
	plain, err := s2.Decode(dst, block)
	if err != nil {
		return nil, fmt.Errorf("reading the S2 block: %w", err)
	}
	return plain, nil
}

// Admit returns an error unless plain can be decoded into v within the limits. Stored is how many
// bytes the stored value has that plain is from, and c is the cost of v's type. The decoder must
// not take an extension for a map.
func Admit(plain []byte, stored int, v any, c bound.Cost) error {
	ch := checker{data: plain}
	n, err := ch.values(0, len(plain), 0)
	if err != nil {
		return err
	}
	return c.AdmitMsgpack(n, stored, v)
}

// AdmitSealed is Admit for a decoder that can take an extension for a map. It returns the
// MessagePack to decode, which is plain or a copy of it with the same meaning, and the seals of
// that. It overwrites the seals that it is given.
func AdmitSealed(plain []byte, seals Seals, stored int, v any, c bound.Cost) ([]byte, Seals, error) {
	ch := checker{data: plain, seals: seals[:0]}
	n, err := ch.values(0, len(plain), 0)
	if err != nil {
		return nil, ch.seals, err
	}
	if err := c.AdmitMsgpack(n, stored, v); err != nil {
		return nil, ch.seals, err
	}
	if len(ch.loose) == 0 {
		return plain, ch.seals, nil
	}
	ch = checker{data: separate(plain, ch.loose), seals: ch.seals[:0]}
	_, err = ch.values(0, len(ch.data), 0)
	return ch.data, ch.seals, err
}
