package json

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCodec(t *testing.T) { encodingtest.Run(t, codec{}) }

func TestRegistered(t *testing.T) {
	if _, ok := encoding.GetCodec(Name).(codec); !ok {
		t.Errorf("%q is not registered", Name)
	}
}

func TestGoldenWireFile(t *testing.T) {
	want, err := os.ReadFile("testdata/map.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec{}.Marshal(map[string]any{"b": "<&>", "a": []int{1}, "c": nil})
	if err != nil || string(got) != strings.TrimSuffix(string(want), "\n") {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestUnescaped(t *testing.T) {
	c := Unescaped("mine")
	if c.Name() != "mine" || encoding.GetCodec("mine") != nil {
		t.Errorf("its name is %q, and it is registered: %t", c.Name(), encoding.GetCodec("mine") != nil)
	}
	for v, want := range map[any]string{
		"<&>":                 `"<&>"`,
		"\\b\b\f\n\\\u2028\\": `"\\b\u0008\u000c\n\\` + "\u2028" + `\\"`,
		"\u2029":              "\"\u2029\"",
		7:                     "7",
	} {
		b, err := c.Marshal(v)
		if err != nil || string(b) != want {
			t.Errorf("%q became %s, %v, want %s", v, b, err, want)
		}
		var back any
		if err := c.Unmarshal(b, &back); err != nil || fmt.Sprint(back) != fmt.Sprint(v) {
			t.Errorf("%s came back as %q, %v", b, back, err)
		}
	}
	if _, err := c.Marshal(make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
}

// Errors of the library can be found, also if their texts are shortened.
func TestErrorsOfTheLibrary(t *testing.T) {
	var typeErr *json.UnmarshalTypeError
	err := codec{}.Unmarshal([]byte(strings.Repeat("9", 1<<20)), new(int))
	if !errors.As(err, &typeErr) || len(err.Error()) > encoding.MaxErrorText {
		t.Errorf("a long number: %d bytes of text, %T", len(fmt.Sprint(err)), err)
	}
	var syntax *json.SyntaxError
	if err := (codec{}).Unmarshal([]byte("{"), new(any)); !errors.As(err, &syntax) {
		t.Errorf("half an object: %v", err)
	}
	var unsupported *json.UnsupportedTypeError
	if _, err := (codec{}).Marshal(make(chan int)); !errors.As(err, &unsupported) {
		t.Errorf("a channel: %v", err)
	}
}

type chained struct {
	N    int
	Next *chained
}

func TestDeepValues(t *testing.T) {
	chain := func(n int) (head *chained) {
		for i := range n {
			head = &chained{i, head}
		}
		return head
	}
	for _, n := range []int{9000, encoding.MaxDepth} {
		b, err := codec{}.Marshal(chain(n))
		if err != nil {
			t.Fatal(err)
		}
		var got *chained
		if err := (codec{}).Unmarshal(b, &got); err != nil || got.N != n-1 {
			t.Errorf("a chain of %d: %v", n, err)
		}
	}
	for _, c := range []encoding.Codec{codec{}, Unescaped("other")} {
		if _, err := c.Marshal(chain(encoding.MaxDepth + 1)); err == nil || !strings.Contains(err.Error(), "a *json.chained nests deeper than 10000") {
			t.Errorf("%s: a chain that is too long: %v", c.Name(), err)
		}
	}
}

type base struct{ Name string }

// Tags decide what is encoded.
func TestAFieldThatLeadsBackMayBeLeftOut(t *testing.T) {
	type entity struct {
		*base
		Parent *entity `json:"-"`
		//lint:ignore SA5008 this is how a field gets the name "-"
		Named  *entity `json:"-,"` //nolint:staticcheck // see above
		hidden any
	}
	e := &entity{base: &base{"e"}}
	e.Parent, e.hidden = e, e
	if b, err := (codec{}).Marshal(e); err != nil || string(b) != `{"Name":"e","-":null}` {
		t.Errorf("%s, %v", b, err)
	}
	e.Named = e
	if _, err := (codec{}).Marshal(e); err == nil || !strings.Contains(err.Error(), `json: a *json.entity refers back to itself at Named.Named`) {
		t.Errorf("got %v", err)
	}
}

// A []byte in an interface is a text in base64, and stays one.
func TestBytesInAnInterface(t *testing.T) {
	b, err := codec{}.Marshal(any([]byte("AB\x00")))
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := (codec{}).Unmarshal(b, &got); err != nil || got != any("QUIA") {
		t.Errorf("came back as %#v, %v", got, err)
	}
	var bytes []byte
	if err := (codec{}).Unmarshal(b, &bytes); err != nil || string(bytes) != "AB\x00" {
		t.Errorf("came back as %q, %v", bytes, err)
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

func FuzzUnmarshal(f *testing.F) { encodingtest.Fuzz(f, codec{}) }

// Both sides in one run: what encoding/json takes by itself, and the codec.
func BenchmarkUnmarshal(b *testing.B) {
	for name, n := range map[string]int{"one": 1, "thousand": 1000, "twenty thousand": 20_000} {
		entities := make([]encodingtest.Entity, n)
		for i := range entities {
			entities[i] = encodingtest.Sample(int64(i))
		}
		text, err := codec{}.Marshal(entities)
		if err != nil {
			b.Fatal(err)
		}
		for of, unmarshal := range map[string]func([]byte, any) error{"plain": json.Unmarshal, "codec": codec{}.Unmarshal} {
			b.Run(name+"/"+of, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					var dst []encodingtest.Entity
					if err := unmarshal(text, &dst); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
