package msgpack

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/internal/test/racing"
)

// Types that decode themselves and keep the bytes that they get, in each of the ways there are.
type (
	keptMsgpack struct{ b []byte }
	keptBinary  struct{ b []byte }
	keptText    struct{ b []byte }
	keptRest    struct{ b []byte } // from the decoder's reader
)

func (k keptMsgpack) MarshalMsgpack() ([]byte, error)  { return k.b, nil }
func (k *keptMsgpack) UnmarshalMsgpack(b []byte) error { k.b = b; return nil }
func (k keptBinary) MarshalBinary() ([]byte, error)    { return k.b, nil }
func (k *keptBinary) UnmarshalBinary(b []byte) error   { k.b = b; return nil }
func (k keptText) MarshalText() ([]byte, error)        { return k.b, nil }
func (k *keptText) UnmarshalText(b []byte) error       { k.b = b; return nil }
func (k *keptRest) DecodeMsgpack(d *msgpack.Decoder) error {
	_, err := io.Copy(k, d.Buffered())
	return err
}

// Write keeps p, although a Writer must not. A reader with a method WriteTo would give it its own
// bytes.
func (k *keptRest) Write(p []byte) (int, error) {
	k.b = p
	return len(p), nil
}

// everything has a field for each way in which a decoded value could refer to the payload.
type everything struct {
	Text     string
	Interned string `msgpack:",intern"`
	Bytes    []byte
	Array    [4]byte
	Raw      msgpack.RawMessage
	Any      any
	AnyMap   map[string]any
	TextMap  map[string]string
	Texts    []string
	Pointer  *[]byte
	Msgpack  keptMsgpack
	Binary   keptBinary
	Plain    keptText
}

func everythingOf(filler byte) everything {
	text := strings.Repeat(string(rune(filler)), 40)
	b := []byte(text)
	return everything{
		Text: text, Interned: text, Bytes: b, Array: [4]byte{filler, filler, filler, filler},
		Raw: msgpack.RawMessage{0xa2, filler, filler}, Any: []any{text, b}, AnyMap: map[string]any{text: b},
		TextMap: map[string]string{text: text}, Texts: []string{text, text}, Pointer: &b,
		Msgpack: keptMsgpack{[]byte{0xa2, filler, filler}}, Binary: keptBinary{b}, Plain: keptText{b},
	}
}

// Decoded values belong to the caller, and share no memory with the payload or a pooled buffer.
func TestNothingRefersToThePayload(t *testing.T) {
	plain := plainOf(t, everythingOf('a'))
	for name, stored := range map[string][]byte{
		"plain": append(bytes.Clone(plain), 0x00),
		"S2":    append(s2.Encode(nil, plain), 0x01),
	} {
		overwrite := func() {
			clear(stored)
			others := plainOf(t, everythingOf('b'))
			for range 50 {
				for _, other := range [][]byte{append(bytes.Clone(others), 0x00), append(s2.Encode(nil, others), 0x01)} {
					var e everything
					if err := (codec{}).Unmarshal(other, &e); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		again := bytes.Clone(stored)
		var got everything
		if err := (codec{}).Unmarshal(stored, &got); err != nil {
			t.Fatal(err)
		}
		overwrite()
		if want := everythingOf('a'); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: what was decoded has become %+v", name, got)
		}
		stored = again
		var rest keptRest
		if err := (codec{}).Unmarshal(stored, &rest); err != nil {
			t.Fatal(err)
		}
		kept := bytes.Clone(rest.b)
		overwrite()
		if !bytes.Equal(rest.b, kept) || !bytes.Equal(kept, plain) {
			t.Errorf("%s: what was read past the decoder has become %q", name, rest.b)
		}
	}
}

// awkwardly changes the decoder's settings, reads a raw value, and then does as its field says.
type awkwardly struct{ then string }

func (a *awkwardly) DecodeMsgpack(d *msgpack.Decoder) error {
	d.UseLooseInterfaceDecoding(true)
	d.DisallowUnknownFields(true)
	d.UseInternedStrings(true)
	d.SetCustomStructTag("json")
	d.SetMapDecoder(func(*msgpack.Decoder) (any, error) { return nil, errors.New("another value's map") })
	switch a.then {
	case "panic":
		panic("awkward")
	case "error":
		return errors.New("awkward")
	case "raw":
		for {
			if _, err := d.DecodeRaw(); err != nil {
				return err
			}
		}
	}
	return d.Skip()
}

func TestNothingOfOneDecodingShowsInAnother(t *testing.T) {
	type other struct {
		ID    int
		Name  string `json:"n"`
		Any   any
		Words []string
	}
	want := other{7, "name", map[string]any{"k": int8(1)}, []string{"word", "word"}}
	stored := append(plainOf(t, struct {
		other
		Unknown int
	}{want, 1}), 0x00)
	for _, then := range []string{"panic", "error", "raw", "nothing"} {
		for range 20 {
			err := codec{}.Unmarshal(stored, &awkwardly{then})
			if (err != nil) != (then != "nothing") {
				t.Fatalf("%s: %v", then, err)
			}
			var got other
			if err := (codec{}).Unmarshal(stored, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("after %s: %+v, %v", then, got, err)
			}
		}
	}
}

// optional is a number, and the value behind it if there is one.
type optional struct {
	n    int
	rest msgpack.RawMessage
}

func (o *optional) DecodeMsgpack(d *msgpack.Decoder) (err error) {
	if o.n, err = d.DecodeInt(); err != nil {
		return err
	}
	if o.rest, err = d.DecodeRaw(); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// A decoder that expects a raw message and finds none records everything that it reads from then
// on.
func TestDecodersThatRecordAreNotKept(t *testing.T) {
	for _, tt := range []struct {
		plain    []byte
		reusable bool
	}{{[]byte{0x07, 0x08}, true}, {[]byte{0x07}, false}, {append([]byte{0x07, 0xc6, 0, 1, 0, 0}, make([]byte, 1<<16)...), false}} {
		d := decoders.Get().(*decoder)
		var o optional
		if err := d.decode(tt.plain, len(tt.plain), &o); err != nil || o.n != 7 {
			t.Fatalf("% .8x: %+v, %v", tt.plain, o, err)
		}
		if d.reusable() != tt.reusable {
			t.Errorf("% .8x: reusable is %t", tt.plain, d.reusable())
		}
	}
}

func TestAllocationsOfUnmarshal(t *testing.T) {
	if racing.Enabled {
		t.Skip("skipped: the race detector allocates")
	}
	allocations(t, "a number", 7, new(int))
	allocations(t, "a string", "text", new(string))
	allocations(t, "a user, plain", sampleUser(), new(user))
	allocations(t, "a list of users, S2", page(), new([]user))
	allocations(t, "a map", map[string]any{"id": 1, "tags": []string{"a", "b"}}, new(map[string]any))
}

// allocations compares the allocations of the codec with those of the decoder by itself.
func allocations[T any](t *testing.T, name string, v T, dst *T) {
	t.Helper()
	plain := plainOf(t, v)
	stored, err := codec{}.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var (
		dec  = msgpack.NewDecoder(nil)
		in   bytes.Reader
		zero T
	)
	own := testing.AllocsPerRun(1000, func() {
		*dst = zero
		in.Reset(plain)
		dec.Reset(&in)
		if err := dec.Decode(dst); err != nil {
			t.Fatal(err)
		}
	})
	got := testing.AllocsPerRun(1000, func() {
		*dst = zero
		if err := (codec{}).Unmarshal(stored, dst); err != nil {
			t.Fatal(err)
		}
	})
	if got != own {
		t.Errorf("%s: %v allocations, want the decoder's own %v", name, got, own)
	}
}
