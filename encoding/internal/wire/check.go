package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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
// maps hold. After it, every length in data is covered by bytes that are really there, so a
// decoder that allocates what is announced allocates no more than a multiple of len(data).
//
// It is part of every read, so most values take it one look into a table and no call.
func check(data []byte) (n counts, err error) {
	var space [32]int
	outer := space[:0]  // how many values each list or map around the innermost one lacks after that
	left := math.MaxInt // how many the innermost one lacks; at the top, as many as there are
	at := 0
	for at < len(data) {
		code := data[at]
		h := heads[code]
		if h.whole() { // by itself and not as a case below: most values are
			at += int(h) // past the end, if the value is: seen when the loop has ended
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
			n.pairs += inner / 2
			n.containers++
		case fixArray:
			at++
			inner = int(code & 0x0f)
			n.elements += inner
			n.containers++
		default:
			size, values, err := h.measure(data[at:])
			if err != nil {
				return n, err
			}
			at += size
			inner = values
			switch h.shape() {
			case array16, array32:
				n.elements += inner
				n.containers++
			case map16, map32:
				n.pairs += inner / 2
				n.containers++
			}
		}
		if inner > 0 {
			if inner > len(data)-at { // each takes a byte at least
				return n, errTruncated
			}
			if len(outer) == MaxDepth {
				return n, errDepth
			}
			outer = append(outer, left-1)
			left = inner
			continue
		}
		// One value is complete, and with it all those that lacked only this one.
		for left--; left == 0; {
			left = outer[len(outer)-1]
			outer = outer[:len(outer)-1]
		}
	}
	if at != len(data) || at == 0 || len(outer) > 0 {
		return n, errTruncated
	}
	return n, nil
}

// measure reads the head that data begins with, where its length is not in the code. It
// returns the size of the head together with the bytes that belong to it, and how many values
// follow that do.
func (h head) measure(data []byte) (size, inner int, err error) {
	if h.shape() == invalid {
		return 0, 0, fmt.Errorf("invalid code %#02x", data[0])
	}
	size = h.size()
	if size > len(data) {
		return 0, 0, errTruncated
	}
	var n uint64
	switch h.shape() {
	case bytes16, array16, map16:
		n = uint64(binary.BigEndian.Uint16(data[1:]))
	default:
		n = uint64(binary.BigEndian.Uint32(data[1:]))
	}
	if h.shape() == map16 || h.shape() == map32 {
		n *= 2
	}
	if n > uint64(len(data)-size) { // an inner value takes a byte at least
		return 0, 0, errTruncated
	}
	switch h.shape() {
	case bytes16, bytes32:
		return size + int(n), 0, nil
	}
	return size, int(n), nil
}
