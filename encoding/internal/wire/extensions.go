package wire

import (
	"errors"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

// The types of extensions that vmihailenco/msgpack has itself.
const (
	typeTime     = 0xff // -1: a time, which is read at once
	typeInterned = 0x80 // -128: the index of a string that came before
)

// Seals are places in a payload, in ascending order, where no value may begin. A decoder has to
// fail if it reads a single byte at such a place. It may read a single byte anywhere else, and
// it may read several bytes at once anywhere.
//
// They are for vmihailenco/msgpack, which can take an extension for a map. If it expects a map
// and finds an extension, it skips the extension's head, and reads the bytes behind it as a map.
// Nobody has checked these bytes as a map. The lengths in them could make it allocate gigabytes,
// and such maps could nest without end.
//
// A seal stops it, because it reads the code of a map as a single byte, and the bytes of an
// extension at once. There are two exceptions: an index in one byte, and an extension of no
// bytes. The function separate rewrites these.
type Seals []int

var errLoose = errors.New("an extension that looks like a map, in an extension")

// extension checks the extension between at and end, whose bytes begin at body and which has
// so many lists and maps around it.
func (c *checker) extension(at, body, end, around int) (n bound.Counts, err error) {
	code := c.data[at]
	if s := heads[code].shape(); s == ext16 || s == ext32 {
		c.seals = append(c.seals, at+1) // a decoder that expects the length reads it at once
	}
	length, kind := end-body, c.data[body-1]
	mapLike := body < len(c.data) && beginsMap(c.data[body])
	switch {
	case length == 0:
		if code == 0xc7 && mapLike { // the decoder would read the map behind it
			return n, c.loosen(at)
		}
	case kind == typeTime:
		if mapLike {
			c.seals = append(c.seals, body)
		}
	case kind == typeInterned && length == 1 && (code == 0xd4 || code == 0xc7):
		if mapLike { // the decoder reads the index as a single byte as well
			return n, c.loosen(at)
		}
	case kind == typeInterned:
		c.seals = append(c.seals, body)
	default:
		return c.content(body, end, around), nil
	}
	return n, nil
}

// content checks the bytes of an extension of the user's, which the user's method may decode in
// any way. If they are MessagePack, they count like other values. If they are not, a seal lets
// the method read them only at once.
func (c *checker) content(body, end, around int) bound.Counts {
	sealed := len(c.seals)
	c.inner++
	n, err := bound.Counts{}, errDepth
	if around < bound.MaxDepth {
		n, err = c.values(body, end, around+1)
	}
	c.inner--
	if err != nil {
		c.seals = append(c.seals[:sealed], body)
		return bound.Counts{}
	}
	return n
}

// loosen notes that the extension at the place has to be rewritten.
func (c *checker) loosen(at int) error {
	if c.inner > 0 { // the length of the one around it would have to change as well
		return errLoose
	}
	c.loose = append(c.loose, at)
	return nil
}

// beginsMap tells whether vmihailenco/msgpack accepts the code if it expects a map.
func beginsMap(code byte) bool {
	return code&0xf0 == 0x80 || code == 0xde || code == 0xdf || code == 0xc0
}

// separate returns a copy of plain in which the extensions at the loose places have another form
// with the same meaning. A decoder reads the length or the bytes of that form at once, so that a
// seal can protect it. The places are in ascending order.
func separate(plain []byte, loose []int) []byte {
	out := make([]byte, 0, len(plain)+len(loose))
	done := 0
	for _, at := range loose {
		out = append(out, plain[done:at]...)
		switch {
		case plain[at] == 0xd4: // the index of an interned string, in one byte
			out = append(out, 0xd5, typeInterned, 0, plain[at+2])
			done = at + 3
		case plain[at+1] == 1: // the same with a length in front
			out = append(out, 0xd5, typeInterned, 0, plain[at+3])
			done = at + 4
		default: // no bytes at all
			out = append(out, 0xc8, 0, 0, plain[at+2])
			done = at + 3
		}
	}
	return append(out, plain[done:]...)
}
