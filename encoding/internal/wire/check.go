package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

var (
	errTruncated = errors.New("the payload ends within a value")
	errDepth     = fmt.Errorf("nested deeper than %d levels", MaxDepth)
)

// counts is what a payload holds.
type counts struct {
	containers int // lists and maps, empty ones included
	elements   int // of all lists
	pairs      int // of all maps
}

// check walks over data without decoding it and returns an error unless it is a
// sequence of whole MessagePack values, nested no deeper than MaxDepth. (More than one
// value at the top is what a custom encoder may leave behind.) It counts what the lists and
// maps hold. After it, every
// length in data is covered by bytes that are really there, so a decoder that
// allocates what is announced allocates no more than a multiple of len(data).
//
// The format: https://github.com/msgpack/msgpack/blob/master/spec.md
func check(data []byte) (n counts, err error) {
	if len(data) == 0 {
		return n, errTruncated
	}
	var space [32]int
	open := space[:0] // how many values each enclosing array or map still lacks
	for len(data) > 0 || len(open) > 0 {
		head, payload, inner, err := header(data)
		if err != nil {
			return n, err
		}
		// Each inner value takes a byte at least. The sizes come from 32 bits at
		// most, doubled for maps: no overflow.
		if size := head + payload; size > len(data) || inner > len(data)-size {
			return n, errTruncated
		}
		code := data[0]
		if isMap(code) || isList(code) {
			n.containers++
		}
		data = data[head+payload:]
		if inner > 0 {
			if len(open) == MaxDepth {
				return n, errDepth
			}
			if isMap(code) {
				n.pairs += inner / 2
			} else {
				n.elements += inner
			}
			open = append(open, inner)
			continue
		}
		// One value is complete, and with it all those that lacked only this one.
		for len(open) > 0 {
			if open[len(open)-1]--; open[len(open)-1] > 0 {
				break
			}
			open = open[:len(open)-1]
		}
	}
	return n, nil
}

func isMap(code byte) bool {
	return msgpcode.IsFixedMap(code) || code == msgpcode.Map16 || code == msgpcode.Map32
}

func isList(code byte) bool {
	return msgpcode.IsFixedArray(code) || code == msgpcode.Array16 || code == msgpcode.Array32
}

// header reads the head of the value that data begins with: its length, the
// length of the bytes it announces, and how many values it contains.
func header(data []byte) (head, payload, inner int, err error) {
	if len(data) == 0 {
		return 0, 0, 0, errTruncated
	}
	c := data[0]
	switch {
	case msgpcode.IsFixedNum(c):
		return 1, 0, 0, nil
	case msgpcode.IsFixedMap(c):
		return 1, 0, 2 * int(c&msgpcode.FixedMapMask), nil
	case msgpcode.IsFixedArray(c):
		return 1, 0, int(c & msgpcode.FixedArrayMask), nil
	case msgpcode.IsFixedString(c):
		return 1, int(c & msgpcode.FixedStrMask), 0, nil
	}
	switch c {
	case msgpcode.Nil, msgpcode.False, msgpcode.True:
		return 1, 0, 0, nil
	case msgpcode.Uint8, msgpcode.Int8:
		return 1, 1, 0, nil
	case msgpcode.Uint16, msgpcode.Int16:
		return 1, 2, 0, nil
	case msgpcode.Uint32, msgpcode.Int32, msgpcode.Float:
		return 1, 4, 0, nil
	case msgpcode.Uint64, msgpcode.Int64, msgpcode.Double:
		return 1, 8, 0, nil
	case msgpcode.FixExt1, msgpcode.FixExt2, msgpcode.FixExt4, msgpcode.FixExt8, msgpcode.FixExt16:
		return 2, 1 << (c - msgpcode.FixExt1), 0, nil
	case msgpcode.Str8, msgpcode.Bin8:
		n, err := length(data, 1)
		return 2, n, 0, err
	case msgpcode.Str16, msgpcode.Bin16:
		n, err := length(data, 2)
		return 3, n, 0, err
	case msgpcode.Str32, msgpcode.Bin32:
		n, err := length(data, 4)
		return 5, n, 0, err
	case msgpcode.Ext8:
		n, err := length(data, 1)
		return 3, n, 0, err
	case msgpcode.Ext16:
		n, err := length(data, 2)
		return 4, n, 0, err
	case msgpcode.Ext32:
		n, err := length(data, 4)
		return 6, n, 0, err
	case msgpcode.Array16:
		n, err := length(data, 2)
		return 3, 0, n, err
	case msgpcode.Array32:
		n, err := length(data, 4)
		return 5, 0, n, err
	case msgpcode.Map16:
		n, err := length(data, 2)
		return 3, 0, 2 * n, err
	case msgpcode.Map32:
		n, err := length(data, 4)
		return 5, 0, 2 * n, err
	}
	return 0, 0, 0, fmt.Errorf("invalid code %#02x", c)
}

// length reads the big-endian length of the given width behind data's first byte.
func length(data []byte, width int) (int, error) {
	if len(data) < 1+width {
		return 0, errTruncated
	}
	switch width {
	case 1:
		return int(data[1]), nil
	case 2:
		return int(binary.BigEndian.Uint16(data[1:])), nil
	default:
		return int(binary.BigEndian.Uint32(data[1:])), nil
	}
}
