package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

func TestDepthOfWhatIsBeingWritten(t *testing.T) {
	for name, level := range map[string][]byte{
		"lists":          {0x91},
		"lists with 16":  {0xdc, 0, 1},
		"lists with 32":  {0xdd, 0, 0, 0, 1},
		"maps":           {0x81, 0xa1, 'k'},
		"maps with 16":   {0xde, 0, 1, 0xcb, 1, 2, 3, 4, 5, 6, 7, 8},
		"maps with 32":   {0xdf, 0, 0, 0, 1, 0xd6, 0xff, 1, 2, 3, 4},
		"after a string": {0x92, 0xd9, 3, 0x91, 0x91, 0x91},
		"after bytes":    {0x93, 0xc4, 2, 0x91, 0x91, 0xc7, 2, 5, 0x91, 0x91},
		"after lists":    {0x94, 0x90, 0x80, 0xc0},
	} {
		for _, n := range []int{bound.MaxDepth, bound.MaxDepth + 1} {
			data := bytes.Repeat(level, n)
			for _, step := range []int{1, 7, 1000, len(data)} { // wherever a value is cut
				var d Depth
				for at := 0; at < len(data); at += step {
					d.TooDeep(data[:at])
				}
				if deep := d.TooDeep(data); deep != (n > bound.MaxDepth) {
					t.Errorf("%s: %d levels, %d bytes at a time: %t", name, n, step, deep)
				}
			}
		}
	}
}

func TestDepthOfWholeValues(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 15))
	for range 10_000 {
		data := random(rnd, nil, 4)
		var d Depth
		if d.TooDeep(data) || d.at != len(data) || len(d.outer) > 0 {
			t.Fatalf("% .64x (%d bytes): %+v", data, len(data), d)
		}
	}
}
