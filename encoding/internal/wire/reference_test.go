package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
)

// reference does what check does as the format's specification tells it: by recursion, one
// format after the other. It shares nothing with check but the errors.
type reference struct {
	rest []byte
	n    counts
}

var errReserved = errors.New("a code that is never used")

func referenceCheck(data []byte) (counts, error) {
	r := reference{rest: data}
	for first := true; first || len(r.rest) > 0; first = false {
		if err := r.value(0); err != nil {
			return counts{}, err
		}
	}
	return r.n, nil
}

func (r *reference) value(depth int) error {
	code, err := r.number(1)
	if err != nil {
		return err
	}
	switch {
	case code <= 0x7f || code >= 0xe0: // positive and negative fixint
		return nil
	case code <= 0x8f:
		return r.pairs(code&0x0f, depth)
	case code <= 0x9f:
		return r.elements(code&0x0f, depth)
	case code <= 0xbf:
		return r.skip(code & 0x1f) // fixstr
	}
	switch code {
	case 0xc0, 0xc2, 0xc3: // nil, false, true
		return nil
	case 0xc4, 0xd9: // bin 8, str 8
		return r.announced(1, 0)
	case 0xc5, 0xda: // bin 16, str 16
		return r.announced(2, 0)
	case 0xc6, 0xdb: // bin 32, str 32
		return r.announced(4, 0)
	case 0xc7: // ext 8, 16, 32: a type byte more
		return r.announced(1, 1)
	case 0xc8:
		return r.announced(2, 1)
	case 0xc9:
		return r.announced(4, 1)
	case 0xcc, 0xd0: // uint 8, int 8
		return r.skip(1)
	case 0xcd, 0xd1:
		return r.skip(2)
	case 0xca, 0xce, 0xd2: // float 32, uint 32, int 32
		return r.skip(4)
	case 0xcb, 0xcf, 0xd3:
		return r.skip(8)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // fixext 1 to 16, with the type byte
		return r.skip(1 + 1<<(code-0xd4))
	case 0xdc, 0xde:
		n, err := r.number(2)
		if err != nil {
			return err
		}
		if code == 0xdc {
			return r.elements(n, depth)
		}
		return r.pairs(n, depth)
	case 0xdd, 0xdf:
		n, err := r.number(4)
		if err != nil {
			return err
		}
		if code == 0xdd {
			return r.elements(n, depth)
		}
		return r.pairs(n, depth)
	}
	return errReserved
}

// number reads a big-endian number of the given width.
func (r *reference) number(width int) (uint64, error) {
	if len(r.rest) < width {
		return 0, errTruncated
	}
	var wide [8]byte
	copy(wide[8-width:], r.rest)
	r.rest = r.rest[width:]
	return binary.BigEndian.Uint64(wide[:]), nil
}

func (r *reference) skip(n uint64) error {
	if n > uint64(len(r.rest)) {
		return errTruncated
	}
	r.rest = r.rest[n:]
	return nil
}

// announced skips what a length of the given width announces, and extra bytes.
func (r *reference) announced(width int, extra uint64) error {
	n, err := r.number(width)
	if err != nil {
		return err
	}
	return r.skip(n + extra)
}

func (r *reference) elements(n uint64, depth int) error {
	if err := r.inner(n, depth); err != nil {
		return err
	}
	r.n.elements += int(n)
	return nil
}

func (r *reference) pairs(n uint64, depth int) error {
	if err := r.inner(2*n, depth); err != nil {
		return err
	}
	r.n.pairs += int(n)
	return nil
}

// inner reads the n values of a list or a map that is itself depth levels deep.
func (r *reference) inner(n uint64, depth int) error {
	if n > uint64(len(r.rest)) { // each value takes a byte at least
		return errTruncated
	}
	r.n.containers++
	if n > 0 && depth == MaxDepth {
		return errDepth
	}
	for range n {
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// compare holds check against the reference.
func compare(t *testing.T, data []byte) {
	t.Helper()
	got, gotErr := check(data)
	want, wantErr := referenceCheck(data)
	if (gotErr == nil) != (wantErr == nil) || errors.Is(gotErr, errTruncated) != errors.Is(wantErr, errTruncated) || errors.Is(gotErr, errDepth) != errors.Is(wantErr, errDepth) {
		t.Fatalf("% .64x (%d bytes): %v, want %v", data, len(data), gotErr, wantErr)
	}
	if gotErr == nil && got != want {
		t.Fatalf("% .64x (%d bytes): %+v, want %+v", data, len(data), got, want)
	}
}

// codes are the bytes that begin each format, and those at the borders between them.
var codes = []byte{
	0x00, 0x7f, 0x80, 0x81, 0x82, 0x8f, 0x90, 0x91, 0x93, 0x9f, 0xa0, 0xa1, 0xa5, 0xbf,
	0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf,
	0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff,
}

// random appends a well-formed value of any format, with at most depth levels in it.
func random(rnd *rand.Rand, b []byte, depth int) []byte {
	bytesOf := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rnd.Uint32())
		}
		return p
	}
	length := func(width, n int) []byte { // the big-endian n
		return binary.BigEndian.AppendUint32(nil, uint32(n))[4-width:]
	}
	code := codes[rnd.IntN(len(codes))]
	n := rnd.IntN(20)
	inner := -1
	switch {
	case code == 0xc1:
		return append(b, 0xc0)
	case code >= 0x80 && code <= 0x8f:
		b, inner = append(b, code), 2*int(code&0x0f)
	case code >= 0x90 && code <= 0x9f:
		b, inner = append(b, code), int(code&0x0f)
	case code >= 0xa0 && code <= 0xbf:
		return append(append(b, code), bytesOf(int(code&0x1f))...)
	case code >= 0xc4 && code <= 0xc6:
		return append(append(append(b, code), length(1<<(code-0xc4), n)...), bytesOf(n)...)
	case code >= 0xc7 && code <= 0xc9:
		return append(append(append(b, code), length(1<<(code-0xc7), n)...), bytesOf(n+1)...)
	case code == 0xca, code == 0xce, code == 0xd2:
		return append(append(b, code), bytesOf(4)...)
	case code == 0xcb, code == 0xcf, code == 0xd3:
		return append(append(b, code), bytesOf(8)...)
	case code == 0xcc, code == 0xd0:
		return append(append(b, code), bytesOf(1)...)
	case code == 0xcd, code == 0xd1:
		return append(append(b, code), bytesOf(2)...)
	case code >= 0xd4 && code <= 0xd8:
		return append(append(b, code), bytesOf(1+1<<(code-0xd4))...)
	case code >= 0xd9 && code <= 0xdb:
		return append(append(append(b, code), length(1<<(code-0xd9), n)...), bytesOf(n)...)
	case code == 0xdc, code == 0xdd:
		b, inner = append(append(b, code), length(2<<(code-0xdc), n)...), n
	case code == 0xde, code == 0xdf:
		b, inner = append(append(b, code), length(2<<(code-0xde), n)...), 2*n
	default:
		return append(b, code)
	}
	for range inner {
		if depth == 0 {
			b = append(b, 0xc0)
		} else {
			b = random(rnd, b, depth-1)
		}
	}
	return b
}

// mutate changes one thing in b.
func mutate(rnd *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	at := rnd.IntN(len(b))
	switch rnd.IntN(5) {
	case 0:
		b[at] = byte(rnd.Uint32())
	case 1:
		b[at] = codes[rnd.IntN(len(codes))]
	case 2:
		b = b[:at]
	case 3:
		b = append(b[:at], b[at+1:]...)
	default:
		b = append(b[:at+1], b[at:]...)
	}
	return b
}

func TestCheckAgreesWithTheReference(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 15))
	well := 0
	for range 10_000 {
		b := random(rnd, nil, rnd.IntN(4))
		compare(t, b)
		if _, err := check(b); err != nil {
			t.Fatalf("% .64x, made to be well-formed: %v", b, err)
		}
		for range 5 {
			if b = mutate(rnd, b); len(b) == 0 {
				break
			}
			compare(t, b)
			if _, err := check(b); err == nil {
				well++
			}
		}
	}
	if well < 1000 {
		t.Errorf("only %d mutated payloads are still well-formed: the test has become blunt", well)
	}
	// Every beginning of two bytes, with nothing, little and much behind it.
	for first := range 256 {
		compare(t, []byte{byte(first)})
		for second := range 256 {
			for _, n := range []int{0, 1, 7, 70_000} {
				if n == 70_000 && (first < 0xc4 || first > 0xdf || second > 2) {
					continue
				}
				compare(t, append([]byte{byte(first), byte(second)}, make([]byte, n)...))
			}
		}
	}
	compare(t, nil)
	for _, p := range encodingtest.Hostile() {
		compare(t, p)
	}
	for n := MaxDepth - 1; n <= MaxDepth+1; n++ {
		for _, level := range [][]byte{{0x91}, {0x92, 0xc0}, {0x81, 0xa0}, {0xdc, 0, 1}, {0xdf, 0, 0, 0, 1, 0xc0}} {
			for _, end := range [][]byte{{0xc0}, {0x90}, {0x80}, {0xc0, 0x91, 0xc0}, {}} {
				compare(t, append(bytes.Repeat(level, n), end...))
			}
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, p := range encodingtest.Hostile() {
		if len(p) < 1<<12 {
			f.Add(p)
		}
	}
	rnd := rand.New(rand.NewPCG(4, 15))
	for range 50 {
		f.Add(random(rnd, nil, 3))
	}
	f.Fuzz(func(t *testing.T, data []byte) { compare(t, data) })
}
