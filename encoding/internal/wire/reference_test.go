package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

// reference does what checker does, as the format's specification describes it: by recursion,
// one format after the other. It shares nothing with checker but the errors.
type reference struct {
	all, rest []byte
	n         bound.Counts
	seals     []int
	loose     []int
	within    bool // an extension of the user's
}

var errReserved = errors.New("a code that is never used")

func referenceCheck(data []byte) (*reference, error) {
	r := &reference{all: data, rest: data}
	return r, r.sequence(0)
}

func (r *reference) sequence(depth int) error {
	for first := true; first || len(r.rest) > 0; first = false {
		if err := r.value(depth); err != nil {
			return err
		}
	}
	return nil
}

// at returns where the rest begins.
func (r *reference) at() int { return cap(r.all) - cap(r.rest) }

// extension reads an extension, the length of which has so many bytes; without them, it is n
// bytes long.
func (r *reference) extension(width int, n uint64, depth int) error {
	begin := r.at() - 1
	if width > 0 {
		if len(r.rest) < width+1 {
			return errTruncated
		}
		n, _ = r.number(width)
	}
	kind, err := r.number(1)
	if err != nil {
		return err
	}
	bodyAt := r.at()
	body := r.rest
	if err := r.skip(n); err != nil {
		return err
	}
	body = body[:n]
	if width > 1 {
		r.seals = append(r.seals, begin+1)
	}
	likeMap := false
	if bodyAt < len(r.all) {
		switch c := r.all[bodyAt]; {
		case c >= 0x80 && c <= 0x8f, c == 0xc0, c == 0xde, c == 0xdf:
			likeMap = true
		}
	}
	isLoose := likeMap && width < 2 && (n == 0 || int8(kind) == -128 && n == 1)
	switch {
	case isLoose && r.within:
		return errLoose
	case isLoose:
		r.loose = append(r.loose, begin)
	case n == 0:
	case int8(kind) == -128:
		if n != 1 || width > 1 {
			r.seals = append(r.seals, bodyAt)
		}
	case int8(kind) == -1:
		if likeMap {
			r.seals = append(r.seals, bodyAt)
		}
	default:
		inner := &reference{all: r.all, rest: body, within: true}
		if depth == bound.MaxDepth || inner.sequence(depth+1) != nil {
			r.seals = append(r.seals, bodyAt)
			return nil
		}
		r.n.Add(inner.n)
		r.seals = append(r.seals, inner.seals...)
	}
	return nil
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
		return r.announced(1)
	case 0xc5, 0xda: // bin 16, str 16
		return r.announced(2)
	case 0xc6, 0xdb: // bin 32, str 32
		return r.announced(4)
	case 0xc7: // ext 8, 16, 32
		return r.extension(1, 0, depth)
	case 0xc8:
		return r.extension(2, 0, depth)
	case 0xc9:
		return r.extension(4, 0, depth)
	case 0xcc, 0xd0: // uint 8, int 8
		return r.skip(1)
	case 0xcd, 0xd1:
		return r.skip(2)
	case 0xca, 0xce, 0xd2: // float 32, uint 32, int 32
		return r.skip(4)
	case 0xcb, 0xcf, 0xd3:
		return r.skip(8)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // fixext 1 to 16
		return r.extension(0, 1<<(code-0xd4), depth)
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

// announced skips as many bytes as a length of the given width says.
func (r *reference) announced(width int) error {
	n, err := r.number(width)
	if err != nil {
		return err
	}
	return r.skip(n)
}

func (r *reference) elements(n uint64, depth int) error {
	if err := r.inner(n, depth); err != nil {
		return err
	}
	r.n.Elements += int(n)
	return nil
}

func (r *reference) pairs(n uint64, depth int) error {
	if err := r.inner(2*n, depth); err != nil {
		return err
	}
	r.n.Pairs += int(n)
	return nil
}

// inner reads the n values of a list or a map that is itself depth levels deep.
func (r *reference) inner(n uint64, depth int) error {
	if n > uint64(len(r.rest)) { // each value takes a byte at least
		return errTruncated
	}
	r.n.Containers++
	if n > 0 && depth >= bound.MaxDepth {
		return errDepth
	}
	for range n {
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// check is checker's answer for the whole of data.
func check(data []byte) (bound.Counts, error) {
	c := checker{data: data}
	return c.values(0, len(data), 0)
}

// compare holds checker against the reference, and returns it.
func compare(t *testing.T, data []byte) (c checker) {
	t.Helper()
	c = checker{data: data}
	got, gotErr := c.values(0, len(data), 0)
	want, wantErr := referenceCheck(data)
	if (gotErr == nil) != (wantErr == nil) || errors.Is(gotErr, errTruncated) != errors.Is(wantErr, errTruncated) || errors.Is(gotErr, errDepth) != errors.Is(wantErr, errDepth) {
		t.Fatalf("% .64x (%d bytes): %v, want %v", data, len(data), gotErr, wantErr)
	}
	if gotErr != nil {
		return checker{}
	}
	if got != want.n || !slices.Equal(c.seals, want.seals) || !slices.Equal(c.loose, want.loose) {
		t.Fatalf("% .64x (%d bytes): %+v, seals %v, loose %v, want %+v, %v, %v", data, len(data), got, c.seals, c.loose, want.n, want.seals, want.loose)
	}
	if !slices.IsSorted(c.seals) {
		t.Fatalf("% .64x (%d bytes): the seals %v are not sorted", data, len(data), c.seals)
	}
	compareSeparated(t, data, c.loose)
	return c
}

// compareSeparated verifies that separate leaves nothing loose and changes nothing else.
func compareSeparated(t *testing.T, data []byte, loose []int) {
	t.Helper()
	before, err := check(data)
	again := checker{data: separate(data, loose)}
	after, err2 := again.values(0, len(again.data), 0)
	if err != nil || err2 != nil || before != after || len(again.loose) > 0 {
		t.Fatalf("% .64x (%d bytes): separated, %+v, %v, loose %v, want %+v, %v", data, len(data), after, err2, again.loose, before, err)
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
	kind := func() byte { // of an extension
		return []byte{typeTime, typeInterned, 5, 0x81}[rnd.IntN(4)]
	}
	code := codes[rnd.IntN(len(codes))]
	n := rnd.IntN(20)
	var inner int
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
		body := bytesOf(n)
		if depth > 0 && n%2 == 0 {
			if value := random(rnd, nil, depth-1); code != 0xc7 || len(value) < 256 {
				body = value
			}
		}
		return append(append(append(append(b, code), length(1<<(code-0xc7), len(body))...), kind()), body...)
	case code == 0xca, code == 0xce, code == 0xd2:
		return append(append(b, code), bytesOf(4)...)
	case code == 0xcb, code == 0xcf, code == 0xd3:
		return append(append(b, code), bytesOf(8)...)
	case code == 0xcc, code == 0xd0:
		return append(append(b, code), bytesOf(1)...)
	case code == 0xcd, code == 0xd1:
		return append(append(b, code), bytesOf(2)...)
	case code >= 0xd4 && code <= 0xd8:
		body := bytesOf(1 << (code - 0xd4))
		if n%2 == 0 {
			body[0] = codes[rnd.IntN(len(codes))]
		}
		return append(append(b, code, kind()), body...)
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
	well, sealed, loose := 0, 0, 0
	for range 10_000 {
		b := random(rnd, nil, rnd.IntN(4))
		c := compare(t, b)
		sealed, loose = sealed+len(c.seals), loose+len(c.loose)
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
	if well < 1000 || sealed < 1000 || loose < 50 {
		t.Errorf("only %d mutated payloads are still well-formed, with %d seals and %d loose extensions: the test has become blunt", well, sealed, loose)
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
	for n := bound.MaxDepth - 1; n <= bound.MaxDepth+1; n++ {
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
	f.Fuzz(func(t *testing.T, data []byte) { _ = compare(t, data) })
}
