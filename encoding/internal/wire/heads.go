package wire

// head is what the first byte of a value says. The low byte is the size of the value's head:
// the code, the length and the type of an extension. Above it is the value's shape. If the
// value is a head and nothing else, its head is just the size.
type head uint16

func (h head) whole() bool  { return h < 1<<8 }
func (h head) size() int    { return int(h & 0xff) }
func (h head) shape() shape { return shape(h >> 8) }

// shape is what follows the head of a value.
type shape uint8

const (
	whole    shape = iota // nothing
	bytes8                // as many bytes as the 8 bits behind the code say
	bytes16               // as many bytes as 16 bits say
	bytes32               // as many bytes as 32 bits say
	fixArray              // as many values as the code's low bits say
	fixMap                // as many pairs as the code's low bits say
	array16               // as many values as 16 bits behind the code say
	array32               // as many values as 32 bits say
	map16                 // as many pairs as 16 bits say
	map32                 // as many pairs as 32 bits say
	fixExt                // the 1, 2, 4, 8 or 16 bytes of an extension, as the code says
	ext8                  // as many bytes of an extension as 8 bits behind the code say
	ext16                 // as many bytes of an extension as 16 bits say
	ext32                 // as many bytes of an extension as 32 bits say
	invalid               // the code is the one that is never used
)

// heads has the head of each first byte, as the format's specification lists them:
// https://github.com/msgpack/msgpack/blob/master/spec.md
var heads = makeHeads()

func makeHeads() (h [256]head) {
	fill := func(from, to int, size uint8, s shape) {
		for c := from; c <= to; c++ {
			h[c] = head(s)<<8 | head(size)
		}
	}
	fill(0x00, 0x7f, 1, whole) // positive fixint
	fill(0x80, 0x8f, 1, fixMap)
	fill(0x90, 0x9f, 1, fixArray)
	for n := range 32 { // fixstr
		fill(0xa0+n, 0xa0+n, uint8(1+n), whole)
	}
	fill(0xc0, 0xc0, 1, whole) // nil
	fill(0xc1, 0xc1, 1, invalid)
	fill(0xc2, 0xc3, 1, whole)   // false, true
	fill(0xc4, 0xc4, 2, bytes8)  // bin 8
	fill(0xc5, 0xc5, 3, bytes16) // bin 16
	fill(0xc6, 0xc6, 5, bytes32) // bin 32
	fill(0xc7, 0xc7, 3, ext8)
	fill(0xc8, 0xc8, 4, ext16)
	fill(0xc9, 0xc9, 6, ext32)
	fill(0xca, 0xca, 5, whole) // float 32
	fill(0xcb, 0xcb, 9, whole) // float 64
	for i := range 4 {
		fill(0xcc+i, 0xcc+i, 1+1<<i, whole) // uint 8, 16, 32, 64
		fill(0xd0+i, 0xd0+i, 1+1<<i, whole) // int 8, 16, 32, 64
	}
	fill(0xd4, 0xd8, 2, fixExt)  // fixext 1, 2, 4, 8, 16
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
