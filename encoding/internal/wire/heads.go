package wire

// shape is what the first byte of a value says about the value's extent.
type shape uint8

const (
	invalid  shape = iota // the one code that is never used
	whole                 // the size is all there is
	bytes8                // a length in 8 bits follows the code, and that many bytes the head
	bytes16               // in 16 bits
	bytes32               // in 32 bits
	fixArray              // as many values follow as the code's low bits say
	fixMap                // as many pairs
	array16               // as many values as 16 bits behind the code say
	array32               // as 32 bits say
	map16                 // as many pairs as 16 bits say
	map32                 // as 32 bits say
)

// head is what a value's first byte says.
type head struct {
	size  uint8 // of the head: the code, the length, the type of an extension; of the whole value, if that is known
	shape shape
}

// heads has the head of each first byte, as the format's specification lists them:
// https://github.com/msgpack/msgpack/blob/master/spec.md
var heads = makeHeads()

func makeHeads() (h [256]head) {
	fill := func(from, to int, size uint8, s shape) {
		for c := from; c <= to; c++ {
			h[c] = head{size, s}
		}
	}
	fill(0x00, 0x7f, 1, whole) // positive fixint
	fill(0x80, 0x8f, 1, fixMap)
	fill(0x90, 0x9f, 1, fixArray)
	for n := range uint8(32) { // fixstr
		h[0xa0+n] = head{1 + n, whole}
	}
	fill(0xc0, 0xc0, 1, whole)   // nil
	fill(0xc2, 0xc3, 1, whole)   // false, true
	fill(0xc4, 0xc4, 2, bytes8)  // bin 8
	fill(0xc5, 0xc5, 3, bytes16) // bin 16
	fill(0xc6, 0xc6, 5, bytes32) // bin 32
	fill(0xc7, 0xc7, 3, bytes8)  // ext 8
	fill(0xc8, 0xc8, 4, bytes16) // ext 16
	fill(0xc9, 0xc9, 6, bytes32) // ext 32
	fill(0xca, 0xca, 5, whole)   // float 32
	fill(0xcb, 0xcb, 9, whole)   // float 64
	for i := range uint8(4) {
		h[0xcc+i] = head{1 + 1<<i, whole} // uint 8, 16, 32, 64
		h[0xd0+i] = head{1 + 1<<i, whole} // int 8, 16, 32, 64
	}
	for i := range uint8(5) {
		h[0xd4+i] = head{2 + 1<<i, whole} // fixext 1, 2, 4, 8, 16
	}
	fill(0xd9, 0xd9, 2, bytes8)  // str 8
	fill(0xda, 0xda, 3, bytes16) // str 16
	fill(0xdb, 0xdb, 5, bytes32) // str 32
	fill(0xdc, 0xdc, 3, array16)
	fill(0xdd, 0xdd, 5, array32)
	fill(0xde, 0xde, 3, map16)
	fill(0xdf, 0xdf, 5, map32)
	fill(0xe0, 0xff, 1, whole) // negative fixint
	return h
}
