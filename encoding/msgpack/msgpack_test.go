package msgpack

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCodec(t *testing.T) { encodingtest.Run(t, codec{}) }

func FuzzUnmarshal(f *testing.F) { encodingtest.Fuzz(f, codec{}) }

func TestRegistered(t *testing.T) {
	if _, ok := encoding.GetCodec(Name).(codec); !ok {
		t.Errorf("%q is not registered", Name)
	}
}

// golden values and the files that hold their wire form as hexadecimal text.
func golden() map[string]any {
	return map[string]any{
		"int_plain":    42,
		"string_plain": "hello",
		"struct_plain": struct {
			ID   int64
			Name string
		}{7, "Ada"},
		"long_s2": strings.Repeat("a compressible value ", 10),
	}
}

func TestGoldenWireFiles(t *testing.T) {
	for name, v := range golden() {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
			if err != nil {
				t.Fatal(err)
			}
			want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
			if err != nil {
				t.Fatal(err)
			}
			got, err := codec{}.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			// S2 has many encodings of a block: the content and the trailer count.
			gotPlain, gotErr := wire.Open(got)
			wantPlain, wantErr := wire.Open(want)
			if gotErr != nil || wantErr != nil || !bytes.Equal(gotPlain, wantPlain) || got[len(got)-1] != want[len(want)-1] {
				t.Errorf("wrote % x, want % x (%v, %v)", got, want, gotErr, wantErr)
			}
			if want[len(want)-1] == 0x00 && !bytes.Equal(got, want) {
				t.Errorf("wrote % x, want % x", got, want)
			}
		})
	}
}

func TestBothTrailersAreReadAtAnyLength(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 10_000} {
		v := strings.Repeat("x", n)
		plain, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for name, stored := range map[string][]byte{
			"plain": append(bytes.Clone(plain), 0x00),
			"s2":    append(s2.Encode(nil, plain), 0x01),
		} {
			var got string
			if err := (codec{}).Unmarshal(stored, &got); err != nil || got != v {
				t.Errorf("%s of %d bytes: read %d bytes, %v", name, n, len(got), err)
			}
		}
	}
}

func TestS2OnlyWhereSmaller(t *testing.T) {
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(i*i>>3 ^ i*37)
	}
	for name, tt := range map[string]struct {
		v       any
		trailer byte
	}{
		"compressible and short":  {strings.Repeat("a", 40), 0x00},
		"compressible and long":   {strings.Repeat("a", 100), 0x01},
		"incompressible and long": {noise, 0x00},
	} {
		b, err := codec{}.Marshal(tt.v)
		if err != nil || b[len(b)-1] != tt.trailer {
			t.Errorf("%s: trailer %#02x, %v, want %#02x", name, b[len(b)-1], err, tt.trailer)
		}
	}
}

func TestUnknownTrailer(t *testing.T) {
	if err := (codec{}).Unmarshal([]byte(`{"a":1}`), new(any)); err == nil || !strings.Contains(err.Error(), "another codec") {
		t.Errorf("JSON was answered with %v, want a hint at the codec", err)
	}
}

// sequence encodes itself as two values in a row, as custom encoders may.
type sequence struct{ a, b int }

func (s sequence) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeMulti(s.a, s.b) }

func (s *sequence) DecodeMsgpack(d *msgpack.Decoder) error { return d.DecodeMulti(&s.a, &s.b) }

func TestCustomEncodersMayWriteSequences(t *testing.T) {
	want := []sequence{{1, 2}, {3, 4}}
	b, err := codec{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got []sequence
	if err := (codec{}).Unmarshal(b, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v", got, err)
	}
}

// A payload of a few bytes must not become gigabytes of structs. Honest values that S2 makes as
// small can be read.
func TestMemoryIsBounded(t *testing.T) {
	const many = 4 << 20
	list := func(element byte) []byte {
		plain := append([]byte{0xdd, 0x00, 0x40, 0x00, 0x00}, bytes.Repeat([]byte{element}, many)...)
		return append(s2.Encode(nil, plain), 0x01)
	}
	for _, element := range []byte{0xc0, 0x80} {
		for _, dst := range []any{new([]struct{ A [64]string }), new([]*struct{ A [64]string }), new([]encodingtest.Entity)} {
			if err := (codec{}).Unmarshal(list(element), dst); err == nil || !strings.Contains(err.Error(), "would take up to") {
				t.Errorf("%d bytes for 4 Mi of %T: %v", len(list(element)), dst, err)
			}
		}
	}
	// The original writes such values.
	bools := append([]byte{0xdd, 0x00, 0x20, 0x00, 0x00}, bytes.Repeat([]byte{0xc2}, 2<<20)...)
	var back []bool
	if err := (codec{}).Unmarshal(append(s2.Encode(nil, bools), 0x01), &back); err != nil || len(back) != 2<<20 {
		t.Errorf("2 Mi of false came back as %d, %v", len(back), err)
	}
}

// Lists of entities that are as large as caches hold them must not be refused.
func TestLargeHonestValuesAreRead(t *testing.T) {
	many := make([]encodingtest.Entity, 20_000)
	for i := range many {
		many[i] = encodingtest.Sample(int64(i))
	}
	b, err := codec{}.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	var back []encodingtest.Entity
	if err := (codec{}).Unmarshal(b, &back); err != nil || len(back) != len(many) {
		t.Errorf("%d entities came back as %d, %v", len(many), len(back), err)
	}
}

// Values behind pointers count as well: a list of structs with pointers, or a tree, is a few
// bytes of S2 for each struct.
func TestMemoryBehindPointersIsBounded(t *testing.T) {
	type page struct{ A [256]int64 }
	type tree struct {
		Pad         [256]int64
		Left, Right *tree
	}
	type raw struct{ Sum *[2048]byte }
	leaf := []byte{0x82, 0xa1, 'L', 0x80, 0xa1, 'R', 0x80}
	for range 17 {
		leaf = slices.Concat([]byte{0x82, 0xa4, 'L', 'e', 'f', 't'}, leaf, []byte{0xa5, 'R', 'i', 'g', 'h', 't'}, leaf)
	}
	list := func(element ...byte) []byte {
		return append([]byte{0xdd, 0x00, 0x08, 0x00, 0x00}, bytes.Repeat(element, 8<<16)...)
	}
	for name, tt := range map[string]struct {
		plain []byte
		dst   any
	}{
		"a tree":             {leaf, new(tree)},
		"pointers in a list": {list(0x81, 0xa1, 'P', 0x80), new([]struct{ P *page })},
		"as lists": {list(0x91, 0x80), new([]struct {
			_msgpack struct{} `msgpack:",as_array"`
			P        *page
		})},
		"bytes":                  {list(0x81, 0xa3, 'S', 'u', 'm', 0xc4, 0x00), new([]raw)},
		"pointers in pointers":   {list(0x81, 0xa1, 'P', 0x80), new([]struct{ P **page })},
		"in the values of a map": {append([]byte{0x81, 0xa1, 'k'}, list(0x81, 0xa1, 'P', 0x80)...), new(map[string][]struct{ P *page })},
	} {
		stored := append(s2.Encode(nil, tt.plain), 0x01)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := codec{}.Unmarshal(stored, tt.dst)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "would take up to") {
			t.Errorf("%s: %d bytes became %d: %v", name, len(stored), after.TotalAlloc-before.TotalAlloc, err)
		}
	}
}

// The name of a type without a name is its whole definition.
func TestErrorsWithLongTypeNames(t *testing.T) {
	type long = struct {
		A123456789, B123456789, C123456789, D123456789, E123456789, F123456789, G123456789 [256]struct {
			H123456789, I123456789, J123456789, K123456789, L123456789, M123456789 [16]map[string]map[string]string
		}
	}
	type longer = map[string]map[string]map[string]struct{ A, B, C, D, E, F, G []long }
	plain := append([]byte{0xdd, 0x00, 0x10, 0x00, 0x00}, bytes.Repeat([]byte{0x80}, 1<<20)...)
	for _, dst := range []any{new([]longer), new([]struct{ A, B, C, D, E, F, G long })} {
		err := codec{}.Unmarshal(append(bytes.Clone(plain), 0x00), dst)
		if err == nil || len(err.Error()) > encoding.MaxErrorText || len(fmt.Sprintf("%T", dst)) < encoding.MaxErrorText {
			t.Errorf("a name of %d bytes: %d bytes of text", len(fmt.Sprintf("%T", dst)), len(fmt.Sprint(err)))
		}
	}
}
