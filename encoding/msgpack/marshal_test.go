package msgpack

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
	"github.com/mgtv-tech/jetcache-go/internal/test/racing"
)

// mustMarshal returns what the codec writes of v, without trailer and compression.
func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	stored, err := codec{}.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := wire.Open(stored)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// plainOf returns what vmihailenco/msgpack by itself writes of v.
func plainOf(t *testing.T, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// nested calls the codec in its methods, which encode and decode it.
type nested struct {
	Depth int
	Name  string
}

func (n nested) EncodeMsgpack(e *msgpack.Encoder) error {
	if err := e.EncodeArrayLen(3); err != nil {
		return err
	}
	if err := e.EncodeString(n.Name); err != nil {
		return err
	}
	if n.Depth > 0 {
		stored, err := codec{}.Marshal(nested{n.Depth - 1, n.Name + "."})
		if err != nil {
			return err
		}
		if err := e.EncodeBytes(stored); err != nil {
			return err
		}
	} else if err := e.EncodeNil(); err != nil {
		return err
	}
	return e.EncodeString(n.Name)
}

func (n *nested) DecodeMsgpack(d *msgpack.Decoder) error {
	if _, err := d.DecodeArrayLen(); err != nil {
		return err
	}
	var (
		last   string
		stored []byte
		err    error
	)
	if n.Name, err = d.DecodeString(); err != nil {
		return err
	}
	if stored, err = d.DecodeBytes(); err != nil {
		return err
	}
	n.Depth = 0
	if stored != nil {
		var inner nested
		if err := (codec{}).Unmarshal(stored, &inner); err != nil {
			return err
		}
		n.Depth = inner.Depth + 1
	}
	if last, err = d.DecodeString(); err == nil && last != n.Name {
		err = errors.New("the name behind is " + last)
	}
	return err
}

func TestAValuesMethodMayCallTheCodec(t *testing.T) {
	want := nested{Depth: 5, Name: strings.Repeat("name ", 20)}
	for range 3 {
		stored, err := codec{}.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got nested
		if err := (codec{}).Unmarshal(stored, &got); err != nil || got != want {
			t.Fatalf("%+v came back as %+v, %v", want, got, err)
		}
	}
}

// awkward changes the encoder's settings, writes a little, and then does as its field says.
type awkward struct{ then string }

func (a awkward) EncodeMsgpack(e *msgpack.Encoder) error {
	e.UseCompactInts(true)
	e.UseArrayEncodedStructs(true)
	e.SetOmitEmpty(true)
	e.UseInternedStrings(true)
	e.SetCustomStructTag("json")
	if err := e.EncodeString("half of " + a.then); err != nil {
		return err
	}
	switch a.then {
	case "panic":
		panic("awkward")
	case "error":
		return errors.New("awkward")
	}
	return nil
}

// Errors, panics and settings of one value must not change another.
func TestNothingOfOneValueShowsInAnother(t *testing.T) {
	other := struct {
		ID    int64
		Empty string `json:"e"`
		Words []string
	}{7, "", []string{"word", "word", "word"}}
	want := plainOf(t, other)
	for _, then := range []string{"panic", "error", "nothing"} {
		for range 20 {
			func() {
				defer func() {
					if r := recover(); (r != nil) != (then == "panic") {
						t.Fatalf("%s: recovered %v", then, r)
					}
				}()
				if _, err := (codec{}).Marshal(awkward{then}); (err != nil) != (then == "error") {
					t.Fatalf("%s: %v", then, err)
				}
			}()
			if got := mustMarshal(t, other); !bytes.Equal(got, want) {
				t.Fatalf("after %s: wrote % x, want % x", then, got, want)
			}
		}
	}
}

func TestMarshalWritesWhatTheLibraryWrites(t *testing.T) {
	for _, v := range []any{
		nil, 1, -1, int64(1), uint64(1), 1.5, "", "text", []byte(nil), []byte{1}, true, time.Unix(1, 2), time.Duration(3),
		sampleUser().Roles, struct{ A, B any }{1, "x"}, strings.Repeat("x", 100_000), make([]int, 3000), [3]byte{1, 2, 3},
	} {
		if got, want := mustMarshal(t, v), plainOf(t, v); !bytes.Equal(got, want) {
			t.Errorf("%T: wrote % .32x, want % .32x", v, got, want)
		}
	}
}

// A cache stores many values, so that none may take more room than it needs.
func TestStoredValuesHaveNoSpareRoom(t *testing.T) {
	for _, v := range []any{1, "text", sampleUser(), page(), strings.Repeat("x", 1<<20), bytes.Repeat([]byte{1, 2, 3}, 1<<17)} {
		b, err := codec{}.Marshal(v)
		if err != nil || cap(b) != len(b) {
			t.Errorf("%T: %d bytes of room for %d, %v", v, cap(b), len(b), err)
		}
	}
}

func TestAllocationsOfMarshal(t *testing.T) {
	if racing.Enabled {
		t.Skip("skipped: the race detector allocates")
	}
	for name, v := range map[string]any{
		"a number":            new(int64),
		"a user, plain":       ptr(sampleUser()),
		"a list of users, S2": ptr(page()),
	} {
		enc, discard := msgpack.NewEncoder(nil), new(bytes.Buffer)
		own := testing.AllocsPerRun(1000, func() {
			discard.Reset()
			enc.Reset(discard)
			if err := enc.Encode(v); err != nil {
				t.Fatal(err)
			}
		})
		got := testing.AllocsPerRun(1000, func() {
			if _, err := (codec{}).Marshal(v); err != nil {
				t.Fatal(err)
			}
		})
		if got != own+1 {
			t.Errorf("%s: %v allocations, want the encoder's own %v and one", name, got, own)
		}
	}
}
