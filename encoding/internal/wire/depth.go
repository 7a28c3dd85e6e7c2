package wire

import (
	"encoding/binary"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

// Depth follows a payload that is being written, and knows how many lists and maps in it are not
// complete yet. Its zero value is for a payload of which nothing is written.
type Depth struct {
	at    int
	outer []int // how many more values each list or map lacks, the innermost one last
}

// TooDeep looks at the part of data that was written since the last call, and tells whether more
// than MaxDepth lists and maps are not complete. Data is all that was written. Bytes that are
// not MessagePack add no depth.
func (d *Depth) TooDeep(data []byte) bool {
	for d.at < len(data) && len(d.outer) <= bound.MaxDepth {
		rest := data[d.at:]
		h := heads[rest[0]]
		size := h.size()
		if size > len(rest) && !h.whole() {
			break
		}
		inner := 0
		switch h.shape() {
		case whole:
		case bytes8, ext8:
			size += int(rest[1])
		case bytes16, ext16:
			size += int(binary.BigEndian.Uint16(rest[1:]))
		case bytes32, ext32:
			size += int(binary.BigEndian.Uint32(rest[1:]))
		case fixExt:
			size += 1 << (rest[0] - 0xd4)
		case fixArray:
			inner = int(rest[0] & 0x0f)
		case fixMap:
			inner = 2 * int(rest[0]&0x0f)
		case array16:
			inner = int(binary.BigEndian.Uint16(rest[1:]))
		case map16:
			inner = 2 * int(binary.BigEndian.Uint16(rest[1:]))
		case array32:
			inner = int(binary.BigEndian.Uint32(rest[1:]))
		case map32:
			inner = 2 * int(binary.BigEndian.Uint32(rest[1:]))
		}
		if size > len(rest) || size < 0 { // negative where an int has 32 bits
			break
		}
		d.at += size
		if inner > 0 {
			d.outer = append(d.outer, inner)
			continue
		}
		for n := len(d.outer) - 1; n >= 0; n-- {
			if d.outer[n]--; d.outer[n] > 0 {
				break
			}
			d.outer = d.outer[:n]
		}
	}
	return len(d.outer) > bound.MaxDepth
}
