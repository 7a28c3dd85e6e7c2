// Package jsontext looks at a JSON text before anything is decoded from it.
package jsontext

import (
	"bytes"
	"fmt"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

var errDepth = fmt.Errorf("lists and maps are nested deeper than %d levels", bound.MaxDepth)

// Admit returns an error unless data, a JSON text, can be decoded into v within the limits. It
// does not look at a text that is too short to exceed them. It may accept data that is not JSON.
func Admit(data []byte, v any) error {
	c := bound.CostOf(bound.Destination(v))
	if c.AdmitsAnyJSON(len(data)) {
		return nil
	}
	n, err := Count(data)
	if err != nil {
		return err
	}
	return c.AdmitJSON(n, len(data), v)
}

// Count returns what data, a JSON text, holds, and an error if lists and maps are inside each
// other more than MaxDepth times. It allocates nothing. If data is not JSON from some place on,
// the counts include everything before that place. An empty list with space in it counts as one
// element.
func Count(data []byte) (n bound.Counts, err error) {
	var maps [bound.MaxDepth/64 + 1]uint64 // a bit for each level: whether it is a map
	depth, inMap := 0, false
	for at := 0; at < len(data); at++ {
		switch data[at] {
		case '"':
			at = endOfString(data, at+1)
		case ',':
			if !inMap {
				n.Elements++
			}
		case ':':
			n.Pairs++
		case '[', '{':
			if depth == bound.MaxDepth {
				return n, errDepth
			}
			n.Containers++
			inMap = data[at] == '{'
			if !inMap && at+1 < len(data) && data[at+1] != ']' {
				n.Elements++
			}
			depth++
			if word, bit := depth/64, uint64(1)<<(depth%64); inMap {
				maps[word] |= bit
			} else {
				maps[word] &^= bit
			}
		case ']', '}':
			if depth > 0 {
				depth--
			}
			inMap = maps[depth/64]&(1<<(depth%64)) != 0
		}
	}
	return n, nil
}

// endOfString returns where the string that begins at the place ends: at its second quote, or
// at the end of data.
func endOfString(data []byte, at int) int {
	for {
		n := bytes.IndexByte(data[at:], '"')
		if n < 0 {
			return len(data)
		}
		backslashes := 0
		for i := at + n - 1; i >= at && data[i] == '\\'; i-- {
			backslashes++
		}
		at += n
		if backslashes%2 == 0 {
			return at
		}
		at++
	}
}
