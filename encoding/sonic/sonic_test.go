package sonic

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
	"github.com/mgtv-tech/jetcache-go/encoding/json"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCodec(t *testing.T) { encodingtest.Run(t, codec{}) }

// The codec that stands in for this one passes the same suite.
func TestStandIn(t *testing.T) { encodingtest.Run(t, json.Unescaped(Name)) }

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
	for _, c := range []encoding.Codec{codec{}, json.Unescaped(Name)} {
		got, err := c.Marshal(map[string]any{"b": "<&>", "a": []int{1}, "c": nil})
		if err != nil || string(got) != strings.TrimSuffix(string(want), "\n") {
			t.Errorf("%T wrote %s, %v, want %s", c, got, err, want)
		}
	}
}

// Until this package is imported, another codec writes in its place: the same bytes.
func TestTheStandInWritesTheSameBytes(t *testing.T) {
	same := func(v any) {
		t.Helper()
		got, gotErr := json.Unescaped(Name).Marshal(v)
		want, wantErr := codec{}.Marshal(v)
		if gotErr != nil || wantErr != nil || string(got) != string(want) {
			t.Errorf("%T: the stand-in wrote %.300q, %v, sonic %.300q, %v", v, got, gotErr, want, wantErr)
		}
	}
	var (
		all  strings.Builder
		each []string
	)
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if r < 0x3000 || r%0x1000 == 0 {
			each = append(each, "a"+string(r)+"b", "\\"+string(r), "\\\\"+string(r)+"\\")
		}
		all.WriteRune(r)
	}
	same(each)
	same(all.String())
	same(map[string]any{all.String()[:0x4000]: all.String()[:0x4000], "b": []any{nil, true, 1.5, 1e21, 1e-7, "<b>", "\\b"}})
	same(encodingtest.Sample(1))
	same([]encodingtest.Entity{encodingtest.Sample(1), {}})
	same(map[int]string{20: "y", 3: "x"})
	same("\xff\xfe")
}

func FuzzUnmarshal(f *testing.F) { encodingtest.Fuzz(f, codec{}) }
