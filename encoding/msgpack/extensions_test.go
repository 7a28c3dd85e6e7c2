package msgpack

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/internal/test/racing"
)

// If the decoder expects a map, it must not read the bytes of an extension as one: nobody has
// checked them. Such payloads took gigabytes.
func TestAnExtensionIsNoMap(t *testing.T) {
	type tree map[string]tree
	deep := bytes.Repeat([]byte{0xd4, 0x01, 0x81, 0xa1, 'k'}, 1<<16)
	for name, payload := range map[string][]byte{
		"a long map":         {0xc7, 5, 0xff, 0xdf, 0x00, 0x40, 0, 0},
		"in 16 bits":         {0xc8, 0, 5, 0xff, 0xdf, 0x00, 0x40, 0, 0},
		"in 32 bits":         {0xc9, 0, 0, 0, 5, 0xff, 0xdf, 0x00, 0x40, 0, 0},
		"of one byte":        {0xd4, 0x80, 0xdf, 0x00, 0x40, 0, 0},
		"of sixteen bytes":   append([]byte{0xd8, 0xff, 0xdf, 0x00, 0x40}, make([]byte, 13)...),
		"no map, then other": append([]byte{0xd8, 0xff, 0xc0, 0xdf, 0x00, 0x40}, make([]byte, 12)...),
		"deeper than it may": append(deep, 0x80),
	} {
		for _, dst := range []any{new(map[string]any), new(map[string]string), new(map[int][64]byte), new(tree), new(struct{ A map[string]any })} {
			stored := append(bytes.Clone(payload), 0x00)
			if _, ok := dst.(*struct{ A map[string]any }); ok {
				stored = append([]byte{0x81, 0xa1, 'A'}, stored...)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := codec{}.Unmarshal(stored, dst)
			runtime.ReadMemStats(&after)
			if took, limit := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+16*len(stored)); err == nil || took > limit {
				t.Errorf("%s as a %T: %d bytes, %v", name, dst, took, err)
			}
		}
	}
}

// boxed is a value of an extension type of its own, which holds MessagePack.
type boxed struct{ M map[string]int }

// mark is a value of an extension type of its own, which holds no bytes at all.
type mark struct{}

func (*mark) MarshalMsgpack() ([]byte, error) { return nil, nil }
func (*mark) UnmarshalMsgpack([]byte) error   { return nil }

// Extensions are read as extensions, also if their bytes look like a map.
func TestExtensionsThatLookLikeMaps(t *testing.T) {
	msgpack.RegisterExtEncoder(42, (*boxed)(nil), func(_ *msgpack.Encoder, v reflect.Value) ([]byte, error) {
		return msgpack.Marshal(v.Interface().(*boxed).M)
	})
	msgpack.RegisterExtDecoder(42, (*boxed)(nil), func(d *msgpack.Decoder, v reflect.Value, _ int) error {
		return d.Decode(&v.Interface().(*boxed).M)
	})
	msgpack.RegisterExt(43, (*mark)(nil))
	t.Cleanup(func() { msgpack.UnregisterExt(42); msgpack.UnregisterExt(43) })
	type entity struct {
		At    time.Time
		Attrs map[string]string
		Word  string `msgpack:",intern"`
		Box   *boxed
		Any   any
		Marks []any
	}
	var want []entity
	for i := range 300 {
		for range 2 {
			at := time.Unix(int64(i)<<24, int64(i)<<22%1e9)
			want = append(want, entity{
				At: at, Attrs: map[string]string{"k": "v"}, Word: fmt.Sprintf("word %d", i),
				Box: &boxed{M: map[string]int{"a": i}}, Any: map[string]any{"at": at},
				Marks: []any{&mark{}, map[string]any{"k": "v"}, &mark{}, nil, &mark{}},
			})
		}
	}
	b, err := codec{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got []entity
	if err := (codec{}).Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %d entities, %v", len(got), err)
	}
}

// An extension may hold no bytes, and a map may follow it.
func TestEmptyExtensionsBeforeMaps(t *testing.T) {
	for _, ext := range [][]byte{{0xc7, 0, 0xff}, {0xc8, 0, 0, 0xff}, {0xc9, 0, 0, 0, 0, 0xff}, {0xc7, 0, 5}} {
		stored := slices.Concat([]byte{0x92}, ext, []byte{0x81, 0xa1, 'k', 0x01, 0x00})
		var got []msgpack.RawMessage
		if err := (codec{}).Unmarshal(stored, &got); err != nil || len(got) != 2 || len(got[1]) != 4 {
			t.Errorf("% x: % x, %v", ext, got, err)
		}
	}
}

// An extension of no or of one byte must not join the map behind it. Otherwise the decoder would
// read values side by side as maps in maps, deeper than any stack. Such payloads, a few bytes of
// S2, ended the process.
func TestExtensionsDoNotNestWhatFollowsThem(t *testing.T) {
	type tree map[string]tree
	type list struct {
		Attrs map[string]string
		Next  *list
	}
	levels := 3_000_000
	if racing.Enabled {
		levels = 30_000 // the race detector takes long, and the stack is tested without it
	}
	for name, tt := range map[string]struct {
		level []byte
		pairs int
		dst   any
	}{
		"no bytes":                  {[]byte{0x81, 0xa1, 'k', 0xc7, 0, 0xff}, 1, new(tree)},
		"no bytes, 16 bits":         {[]byte{0x81, 0xa1, 'k', 0xc8, 0, 0, 0xff}, 1, new(tree)},
		"no bytes, 32 bits":         {[]byte{0x81, 0xa1, 'k', 0xc9, 0, 0, 0, 0, 0xff}, 1, new(tree)},
		"an index like a map":       {[]byte{0xd4, 0x80, 0x81, 0xa1, 'k'}, 1, new(tree)},
		"one with a length":         {[]byte{0xc7, 1, 0x80, 0x81, 0xa1, 'k'}, 1, new(tree)},
		"an index like a long map":  {[]byte{0xd4, 0x80, 0xde, 0x00, 0x01, 0xa1, 'k'}, 1, new(tree)},
		"one like a longer map":     {[]byte{0xd4, 0x80, 0xdf, 0x00, 0x00, 0x00, 0x01, 0xa1, 'k'}, 1, new(tree)},
		"a map as the key of a map": {[]byte{0x82, 0xa5, 'A', 't', 't', 'r', 's', 0xc7, 0, 0xff, 0x80, 0xa4, 'N', 'e', 'x', 't'}, 2, new(list)},
	} {
		plain := append(bytes.Repeat(tt.level, levels/tt.pairs), 0x80)
		stored := append(s2.Encode(nil, plain), 0x01)
		// An error or not: it must return.
		if err := (codec{}).Unmarshal(stored, tt.dst); err != nil && strings.Contains(err.Error(), "would take up to") {
			t.Errorf("%s as a %T: the payload is too large for the test: %v", name, tt.dst, err)
		}
	}
}

// A decoder reads the index of an interned string as a single byte, as it reads a map's code.
func TestInternedStringsBesideMaps(t *testing.T) {
	type entity struct {
		Word     string `msgpack:",intern"`
		Attrs    map[string]string
		Children map[string]*entity
	}
	var want []entity
	for range 2 {
		for i := range 34_000 {
			want = append(want, entity{Word: fmt.Sprint("word ", i), Attrs: map[string]string{"k": "v"}})
		}
	}
	want[0].Children = map[string]*entity{"a": {Word: "word 130"}, "b": {Word: "word 222"}, "c": {Word: "word 33024"}}
	b, err := codec{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got []entity
	if err := (codec{}).Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %d entities, %v", len(got), err)
	}
}

// raw is a value of an extension type of its own, which holds bytes that are no MessagePack.
type raw struct{ B []byte }

func (r *raw) MarshalMsgpack() ([]byte, error) { return r.B, nil }
func (r *raw) UnmarshalMsgpack(b []byte) error { r.B = bytes.Clone(b); return nil }

func TestExtensionsThatHoldAnyBytes(t *testing.T) {
	msgpack.RegisterExt(44, (*raw)(nil))
	t.Cleanup(func() { msgpack.UnregisterExt(44) })
	type entity struct {
		Raw   *raw
		Attrs map[string]string
	}
	var want []entity
	for _, n := range []int{1, 2, 3, 4, 16, 17, 255, 256, 70_000} {
		for first := range 256 {
			if n == 70_000 && first%16 != 0 {
				continue
			}
			want = append(want, entity{&raw{slices.Concat([]byte{byte(first)}, bytes.Repeat([]byte{0xdf}, n-1))}, map[string]string{"k": "v"}})
		}
	}
	b, err := codec{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got []entity
	if err := (codec{}).Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %d entities, %v", len(got), err)
	}
}
