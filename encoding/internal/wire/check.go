package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

var (
	errTruncated = errors.New("the payload ends within a value")
	errDepth     = fmt.Errorf("lists and maps are nested deeper than %d levels", bound.MaxDepth)
)

// checker walks over a payload without decoding it.
type checker struct {
	data  []byte
	seals Seals
	loose []int // where extensions begin that have to be rewritten, see separate
	inner int   // how many extensions there are around the values that are being checked
}

// values returns an error unless data[at:end] is a sequence of whole MessagePack values, with no
// more than MaxDepth lists and maps inside each other. (More than one value at the top is what
// a custom encoder may leave.) It counts what the lists and maps hold. If there is no error, the
// payload has the bytes for every length in it. A decoder that allocates what a length says then
// allocates no more than a multiple of the payload. Around is how many lists and maps there are
// around the values.
//
// It is part of every read, so most values take it one look into a table and no call.
func (c *checker) values(at, end, around int) (n bound.Counts, err error) {
	data := c.data[:end]
	var space [32]int
	outer := space[:0]  // how many more values each list or map around the innermost one lacks
	left := math.MaxInt // how many the innermost one lacks; there may be any number at the top
	begin := at
	for at < len(data) {
		code := data[at]
		h := heads[code]
		if h.whole() { // most values are
			at += int(h) // the check behind the loop finds a value that ends past the end
			for left--; left == 0; {
				left = outer[len(outer)-1]
				outer = outer[:len(outer)-1]
			}
			continue
		}
		inner := 0
		switch h.shape() {
		case bytes8: // most strings that are not whole
			if at+1 == len(data) {
				return n, errTruncated
			}
			at += h.size() + int(data[at+1])
		case fixMap:
			at++
			inner = 2 * int(code&0x0f)
			n.Pairs += inner / 2
			n.Containers++
		case fixArray:
			at++
			inner = int(code & 0x0f)
			n.Elements += inner
			n.Containers++
		case fixExt:
			if at+2 < len(data) && data[at+1] == typeTime && !beginsMap(data[at+2]) { // most times
				at += 2 + 1<<(code-0xd4)
				break
			}
			fallthrough
		default:
			size, values, err := h.measure(data[at:])
			if err != nil {
				return n, err
			}
			switch h.shape() {
			case array16, array32:
				n.Elements += values
				n.Containers++
			case map16, map32:
				n.Pairs += values / 2
				n.Containers++
			case fixExt, ext8, ext16, ext32:
				held, err := c.extension(at, at+h.size(), at+size, around+len(outer))
				if err != nil {
					return n, err
				}
				n.Add(held)
			}
			at += size
			inner = values
		}
		if inner > 0 {
			if inner > len(data)-at { // each takes a byte at least
				return n, errTruncated
			}
			if around+len(outer) >= bound.MaxDepth {
				return n, errDepth
			}
			outer = append(outer, left-1)
			left = inner
			continue
		}
		// One value is complete, and so is each list or map that lacked only this one.
		for left--; left == 0; {
			left = outer[len(outer)-1]
			outer = outer[:len(outer)-1]
		}
	}
	if at != len(data) || at == begin || len(outer) > 0 {
		return n, errTruncated
	}
	return n, nil
}

// measure reads the head that data begins with, if the code alone does not say the length. It
// returns how many bytes the head and the bytes behind it take, and how many values follow
// that belong to the value.
func (h head) measure(data []byte) (size, inner int, err error) {
	size = h.size()
	if size > len(data) {
		return 0, 0, errTruncated
	}
	var n uint64
	switch h.shape() {
	case invalid:
		return 0, 0, fmt.Errorf("invalid code %#02x", data[0])
	case fixExt:
		n = 1 << (data[0] - 0xd4)
	case ext8:
		n = uint64(data[1])
	case bytes16, array16, map16, ext16:
		n = uint64(binary.BigEndian.Uint16(data[1:]))
	default:
		n = uint64(binary.BigEndian.Uint32(data[1:]))
	}
	if h.shape() == map16 || h.shape() == map32 {
		n *= 2
	}
	if n > uint64(len(data)-size) { // each value takes a byte at least
		return 0, 0, errTruncated
	}
	switch h.shape() {
	case array16, array32, map16, map32:
		return size, int(n), nil
	}
	return size + int(n), 0, nil
}
