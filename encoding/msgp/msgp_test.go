package msgp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/tinylib/msgp/msgp"
	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
	"github.com/mgtv-tech/jetcache-go/encoding/msgp/internal/entitytest"
	"github.com/mgtv-tech/jetcache-go/encoding/msgpack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCodec(t *testing.T) { encodingtest.Run(t, codec{}) }

func FuzzUnmarshal(f *testing.F) { encodingtest.Fuzz(f, codec{}) }

func TestRegistered(t *testing.T) {
	if _, ok := encoding.GetCodec(Name).(codec); !ok {
		t.Errorf("%q is not registered", Name)
	}
}

// user has every field set, and a single attribute, so that its encoding is always the same.
func user() entitytest.User {
	return entitytest.User{
		ID: 7, Name: "Ada", Email: "ada@example.org", Roles: []string{"editor", "billing"},
		Created: time.Date(2024, 2, 29, 12, 30, 15, 123456000, time.UTC).Local(),
		Attrs:   map[string]string{"city": "London"},
	}
}

func forms() entitytest.Forms {
	at := time.Unix(1700000000, 805306368) // its extension begins like a nil
	return entitytest.Forms{
		Int: -3, Int8: -100, Int16: -300, Int32: -70_000, Int64: -1 << 40, Uint: 200, Uint8: 200, Uint16: 60_000,
		Uint32: 1 << 31, Uint64: 1 << 63, Float32: 1.5, Float64: 0.1, Bool: true, Text: "Zoë", Bytes: []byte{0, 0xff},
		Array: [4]byte{1, 2, 3, 4}, Numbers: [3]int{-1, 0, 300}, Ints: []int{-1, 1, 1 << 30}, Texts: []string{"", "x"},
		Map: map[string]string{"": "v"}, Counts: map[string]int{"n": -5}, Pointer: &entitytest.Small{A: 1, B: -1},
		Struct: entitytest.Small{A: 1 << 30}, List: []entitytest.Small{{A: 1}, {}}, Pointers: []*entitytest.Small{nil, {B: 2}},
		Time: at, TimeOrNil: &at, Duration: -time.Second, Point: entitytest.Point{X: 1, Y: -0.5}, Omitted: "here",
		Addr: netip.MustParseAddr("2001:db8::1"), Level: entitytest.LevelOf(3), Anonymous: struct{ Z int }{9}, Base: entitytest.Base{Kind: "k", Grade: 255},
	}
}

func tree(depth int) *entitytest.Tree {
	if depth == 0 {
		return nil
	}
	return &entitytest.Tree{Name: "node", Left: tree(depth - 1), Right: tree(depth - 1), Children: []*entitytest.Tree{{Name: "leaf"}}}
}

// mustMarshal returns v as c stores it.
func mustMarshal(t testing.TB, c encoding.Codec, v any) []byte {
	t.Helper()
	b, err := c.Marshal(v)
	if err != nil {
		t.Fatalf("%s: %T: %v", c.Name(), v, err)
	}
	return b
}

// A value may be given directly, or by any number of pointers, and read into any number.
func TestValuesAndPointers(t *testing.T) {
	want := user()
	pointer := &want
	var missing *entitytest.User
	for _, v := range []any{want, pointer, &pointer} {
		stored := mustMarshal(t, codec{}, v)
		var (
			value entitytest.User
			one   *entitytest.User
			two   **entitytest.User
		)
		for _, dst := range []any{&value, &one, &two} {
			if err := (codec{}).Unmarshal(stored, dst); err != nil {
				t.Fatalf("%T into %T: %v", v, dst, err)
			}
		}
		if !reflect.DeepEqual(value, want) || !reflect.DeepEqual(*one, want) || !reflect.DeepEqual(**two, want) {
			t.Errorf("%T came back as %+v, %+v, %+v", v, value, *one, **two)
		}
	}
	for _, v := range []any{missing, &missing, nil} {
		stored := mustMarshal(t, codec{}, v)
		if !bytes.Equal(stored, []byte{0xc0, 0x00}) {
			t.Errorf("%T: a nil became % x", v, stored)
		}
		value, one := want, &want
		two := &one
		if err := errors.Join(codec{}.Unmarshal(stored, &value), codec{}.Unmarshal(stored, &one), codec{}.Unmarshal(stored, &two)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(value, entitytest.User{}) || one != nil || two != nil {
			t.Errorf("nil came back as %+v, %v, %v", value, one, two)
		}
	}
	for _, v := range []any{entitytest.Small{A: 1}, &entitytest.Small{A: 1}} { // methods without a pointer receiver
		var got entitytest.Small
		if err := (codec{}).Unmarshal(mustMarshal(t, codec{}, v), &got); err != nil || got.A != 1 {
			t.Errorf("%T came back as %+v, %v", v, got, err)
		}
	}
	users := entitytest.Users{user(), user()}
	var got entitytest.Users
	if err := (codec{}).Unmarshal(mustMarshal(t, codec{}, users), &got); err != nil || !reflect.DeepEqual(got, users) {
		t.Errorf("%+v came back as %+v, %v", users, got, err)
	}
}

func TestDestinationsThatAreNone(t *testing.T) {
	stored := mustMarshal(t, codec{}, user())
	for _, dst := range []any{nil, entitytest.User{}, (*entitytest.User)(nil), (**entitytest.User)(nil)} {
		if err := (codec{}).Unmarshal(stored, dst); err == nil {
			t.Errorf("a %T took a value", dst)
		}
	}
}

// The codec "msgpack" writes and reads values without generated code.
func TestOtherValues(t *testing.T) {
	plain := encoding.GetCodec(msgpack.Name)
	for _, v := range []any{1, "text", []byte{1}, []int{1}, []entitytest.User{user()}, map[string]int{"a": 1}, struct{ A int }{1}, time.Unix(1, 0)} {
		stored, want := mustMarshal(t, codec{}, v), mustMarshal(t, plain, v)
		if !bytes.Equal(stored, want) {
			t.Errorf("%T: % x, want % x", v, stored, want)
		}
		dst := reflect.New(reflect.TypeOf(v))
		if err := (codec{}).Unmarshal(stored, dst.Interface()); err != nil || !reflect.DeepEqual(dst.Elem().Interface(), v) {
			t.Errorf("%#v came back as %#v, %v", v, dst.Elem(), err)
		}
	}
}

func TestGoldenWireFile(t *testing.T) {
	text, err := os.ReadFile("testdata/user_plain.hex")
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if got := mustMarshal(t, codec{}, user()); !bytes.Equal(got, want) {
		t.Errorf("wrote\n%x, want\n%x", got, want)
	}
	for _, name := range []string{Name, msgpack.Name} {
		var got entitytest.User
		if err := encoding.GetCodec(name).Unmarshal(want, &got); err != nil || !reflect.DeepEqual(got, user()) {
			t.Errorf("%s read %+v, %v", name, got, err)
		}
	}
}

func TestLargeValuesAreCompressed(t *testing.T) {
	users := make(entitytest.Users, 50)
	for i := range users {
		users[i] = user()
	}
	stored := mustMarshal(t, codec{}, users)
	plain, err := users.MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	if stored[len(stored)-1] != 0x01 || len(stored) > len(plain)/2 || cap(stored) != len(stored) {
		t.Errorf("%d bytes became %d with room for %d, trailer %#02x", len(plain), len(stored), cap(stored), stored[len(stored)-1])
	}
	var got entitytest.Users
	if err := (codec{}).Unmarshal(stored, &got); err != nil || !reflect.DeepEqual(got, users) {
		t.Errorf("came back as %d users, %v", len(got), err)
	}
}

func TestBytesLeftOver(t *testing.T) {
	b, err := ptr(user()).MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, stored := range map[string][]byte{
		"plain": append(append(bytes.Clone(b), 0xc0), 0x00),
		"S2":    append(s2.Encode(nil, append(bytes.Clone(b), 0xc0)), 0x01),
	} {
		if err := (codec{}).Unmarshal(stored, new(entitytest.User)); err == nil || !strings.Contains(err.Error(), "left over") {
			t.Errorf("%s: a byte too many: %v", name, err)
		}
	}
}

// destinations returns a pointer to a zero value of each type with generated code.
func destinations() []any {
	return []any{
		new(entitytest.User), new(entitytest.Users), new(*entitytest.User), new(entitytest.Small), new(entitytest.Tree), new(entitytest.Point),
		new(entitytest.Forms), new(entitytest.Aliasing), new(entitytest.Wrapped), new(entitytest.OldTime), new(entitytest.NotNil),
		new(entitytest.Dynamic), new(msgp.Raw),
	}
}

// Generated code gets the same protection as reflection does.
func TestHostilePayloads(t *testing.T) {
	for _, p := range encodingtest.Hostile() {
		for _, dst := range destinations() {
			took, _ := cost(p, dst)
			if limit := uint64(80<<20 + 4096*len(p)); took > limit {
				t.Errorf("%d bytes (% .8x) as a %T took %d bytes, more than %d", len(p), p, dst, took, limit)
			}
		}
	}
	many := append([]byte{0xdd, 0x00, 0x40, 0x00, 0x00}, bytes.Repeat([]byte{0x80}, 4<<20)...)
	branches := []byte{0x82, 0xa4, 'L', 'e', 'f', 't', 0x80, 0xa5, 'R', 'i', 'g', 'h', 't', 0x80}
	for range 17 {
		branches = append(append(append([]byte{0x82, 0xa4, 'L', 'e', 'f', 't'}, branches...), 0xa5, 'R', 'i', 'g', 'h', 't'), branches...)
	}
	deep := append(bytes.Repeat([]byte{0x81, 0xa4, 'L', 'e', 'f', 't'}, msgpack.MaxDepth), 0x81, 0xa4, 'N', 'a', 'm', 'e', 0xa0)
	for name, tt := range map[string]struct {
		plain []byte
		dst   any
		want  string
	}{
		"many users":    {many, new(entitytest.Users), "would take up to"},
		"many branches": {branches, new(entitytest.Tree), "would take up to"},
		"a deep tree":   {deep, new(entitytest.Tree), "deeper"},
	} {
		took, err := cost(append(s2.Encode(nil, tt.plain), 0x01), tt.dst)
		if err == nil || !strings.Contains(err.Error(), tt.want) || took > 80<<20 {
			t.Errorf("%s: %d bytes, %v", name, took, err)
		}
	}
}

// cost returns what decoding takes, and its error.
func cost(stored []byte, dst any) (uint64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := codec{}.Unmarshal(stored, dst)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

func TestDamagedPayloads(t *testing.T) {
	for _, v := range []any{user(), forms(), tree(3)} {
		stored := mustMarshal(t, codec{}, v)
		plain := stored[:len(stored)-1]
		if stored[len(stored)-1] == 0x01 {
			var err error
			if plain, err = s2.Decode(nil, plain); err != nil {
				t.Fatal(err)
			}
		}
		for i := range plain {
			if err := (codec{}).Unmarshal(append(bytes.Clone(plain[:i]), 0x00), reflect.New(typeOf(v)).Interface()); err == nil {
				t.Errorf("%T: %d of %d bytes were enough", v, i, len(plain))
			}
			for _, c := range []byte{0x00, 0x80, 0x91, 0xc0, 0xc7, 0xdd, 0xff} {
				changed := append(bytes.Clone(plain), 0x00)
				changed[i] = c
				_ = codec{}.Unmarshal(changed, reflect.New(typeOf(v)).Interface()) // an error or not: it must return
			}
		}
	}
}

func typeOf(v any) reflect.Type {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func FuzzGenerated(f *testing.F) {
	for _, p := range encodingtest.Hostile() {
		if len(p) < 1<<16 {
			f.Add(p)
		}
	}
	for _, v := range []any{user(), forms(), tree(2), entitytest.Users{user()}, entitytest.Point{X: 1}} {
		f.Add(mustMarshal(f, codec{}, v))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, dst := range destinations() {
			_ = codec{}.Unmarshal(data, dst)
		}
		var first, second entitytest.Forms
		if (codec{}).Unmarshal(data, &first) != nil {
			return
		}
		if err := (codec{}).Unmarshal(mustMarshal(t, codec{}, first), &second); err != nil {
			t.Errorf("decoded %+v, encoded it, and cannot decode that: %v", first, err)
		}
	})
}

func ptr[T any](v T) *T { return &v }
