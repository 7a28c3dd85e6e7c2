// Package bound holds the limits that every codec keeps: how deep a value may nest, how much
// memory decoding may take, and how long the text of an error may be.
package bound

import "fmt"

const (
	// MaxDepth is how many lists and maps may be inside each other.
	MaxDepth = 10_000
	// MaxDecodedSize is how many bytes a compressed value may unpack to.
	MaxDecodedSize = 64 << 20
	// MaxMemory is how many bytes a decoded value may take, unless memoryPerByte allows more.
	MaxMemory = 256 << 20

	// memoryPerByte is how many bytes of memory each byte of a payload may become.
	memoryPerByte = 64
)

// Counts is what a payload holds.
type Counts struct {
	Containers int // lists and maps, the empty ones included
	Elements   int // the elements of all lists
	Pairs      int // the pairs of all maps
}

// Add adds what another part of the payload holds.
func (n *Counts) Add(m Counts) {
	n.Containers += m.Containers
	n.Elements += m.Elements
	n.Pairs += m.Pairs
}

// limit returns how many bytes of memory a payload of so many bytes may become.
func limit(payload int) uint64 { return max(MaxMemory, memoryPerByte*uint64(payload)) }

// refuse returns the error for a payload that needs more than its limit.
func refuse(n Counts, payload int, v any, need uint64) error {
	return fmt.Errorf("%d lists and maps with %d elements and %d pairs in %d bytes would take up to %d bytes as a %T, more than %d",
		n.Containers, n.Elements, n.Pairs, payload, need, v, limit(payload))
}
