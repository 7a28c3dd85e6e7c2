package wire

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

func TestSeals(t *testing.T) {
	time8 := func(first byte) []byte { return append([]byte{0xd7, typeTime, first}, make([]byte, 7)...) }
	for name, tt := range map[string]struct {
		payload []byte
		seals   []int
		n       bound.Counts
	}{
		"a time":                         {time8(0x00), nil, bound.Counts{}},
		"a time like a map":              {time8(0x85), []int{2}, bound.Counts{}},
		"a time like nil":                {time8(0xc0), []int{2}, bound.Counts{}},
		"times in a list":                {slices.Concat([]byte{0x93}, time8(0xde), time8(0x01), time8(0xdf)), []int{3, 23}, bound.Counts{Containers: 1, Elements: 3}},
		"a length of 16 bits":            {[]byte{0xc8, 0, 1, typeTime, 0}, []int{1}, bound.Counts{}},
		"a length of 32 bits":            {[]byte{0xc9, 0, 0, 0, 1, typeTime, 0x80}, []int{1, 6}, bound.Counts{}},
		"an index in one byte":           {[]byte{0xd4, typeInterned, 0x7f}, nil, bound.Counts{}},
		"an index in two bytes":          {[]byte{0xd5, typeInterned, 0x00, 0x7f}, []int{2}, bound.Counts{}},
		"MessagePack of the user's":      {[]byte{0xd5, 5, 0x91, 0xc0}, nil, bound.Counts{Containers: 1, Elements: 1}},
		"several values of the user's":   {[]byte{0xd6, 5, 0x81, 1, 2, 0x80}, nil, bound.Counts{Containers: 2, Pairs: 1}},
		"other bytes of the user's":      {[]byte{0xd5, 5, 0x82, 0xc0}, []int{2}, bound.Counts{}},
		"an extension in an extension":   {[]byte{0xc7, 5, 5, 0xd5, 6, 0x91, 0xc0, 0xc0}, nil, bound.Counts{Containers: 1, Elements: 1}},
		"a broken one in an extension":   {[]byte{0xc7, 4, 5, 0xd5, 6, 0x91, 0x91}, []int{5}, bound.Counts{}},
		"a loose one in an extension":    {[]byte{0xc7, 3, 5, 0xd4, typeInterned, 0x85}, []int{3}, bound.Counts{}},
		"no bytes, and no map behind it": {[]byte{0x92, 0xc7, 0, 5, 0x07}, nil, bound.Counts{Containers: 1, Elements: 2}},
	} {
		c := checker{data: tt.payload}
		n, err := c.values(0, len(tt.payload), 0)
		if err != nil || n != tt.n || !slices.Equal(c.seals, tt.seals) || len(c.loose) > 0 {
			t.Errorf("%s: %+v, %v, seals %v, loose %v, want %+v, seals %v", name, n, err, c.seals, c.loose, tt.n, tt.seals)
		}
	}
}

func TestSeparate(t *testing.T) {
	for name, tt := range map[string]struct{ payload, want []byte }{
		"an index like a map":        {[]byte{0xd4, typeInterned, 0x85}, []byte{0xd5, typeInterned, 0, 0x85}},
		"an index like nil":          {[]byte{0xd4, typeInterned, 0xc0}, []byte{0xd5, typeInterned, 0, 0xc0}},
		"one with a length":          {[]byte{0xc7, 1, typeInterned, 0xdf}, []byte{0xd5, typeInterned, 0, 0xdf}},
		"no bytes before a map":      {[]byte{0x92, 0xc7, 0, 5, 0x80}, []byte{0x92, 0xc8, 0, 0, 5, 0x80}},
		"no bytes before nil":        {[]byte{0x92, 0xc7, 0, 5, 0xc0}, []byte{0x92, 0xc8, 0, 0, 5, 0xc0}},
		"several":                    {[]byte{0x93, 0xd4, typeInterned, 0x80, 0xc7, 0, 5, 0x80}, []byte{0x93, 0xd5, typeInterned, 0, 0x80, 0xc8, 0, 0, 5, 0x80}},
		"no bytes twice, then a map": {[]byte{0x93, 0xc7, 0, 5, 0xc7, 0, 5, 0x80}, []byte{0x93, 0xc7, 0, 5, 0xc8, 0, 0, 5, 0x80}},
	} {
		before := bytes.Clone(tt.payload)
		got, seals, err := AdmitSealed(tt.payload, nil, len(tt.payload), new(any), bound.Cost{})
		if err != nil || !bytes.Equal(got, tt.want) || !bytes.Equal(tt.payload, before) {
			t.Errorf("%s: % x, %v, want % x; the payload is % x", name, got, err, tt.want, tt.payload)
		}
		c := checker{data: got}
		if _, err := c.values(0, len(got), 0); err != nil || !slices.Equal(c.seals, seals) {
			t.Errorf("%s: the seals are %v, want %v (%v)", name, seals, c.seals, err)
		}
	}
}

// Extensions inside each other count like lists. Those that are too deep are sealed.
func TestExtensionsInExtensions(t *testing.T) {
	nest := func(levels int) []byte {
		const head = 6
		payload := bytes.Repeat([]byte{0xc9, 0, 0, 0, 0, 5}, levels)
		payload = append(payload, 0xc0)
		for at := range levels {
			binary.BigEndian.PutUint32(payload[at*head+1:], uint32(len(payload)-(at+1)*head))
		}
		return payload
	}
	for _, levels := range []int{1, bound.MaxDepth, bound.MaxDepth + 1, 2 * bound.MaxDepth} {
		payload := nest(levels)
		c := checker{data: payload}
		if _, err := c.values(0, len(payload), 0); err != nil {
			t.Fatal(err)
		}
		want := min(levels, bound.MaxDepth+1) // the length of each one that is checked
		if levels > bound.MaxDepth {
			want++ // the bytes of the deepest one
		}
		if len(c.seals) != want {
			t.Errorf("%d extensions have %d seals, want %d", levels, len(c.seals), want)
		}
	}
}
