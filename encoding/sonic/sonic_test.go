package sonic

import (
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

// Both JSON codecs write the same.
func TestGoldenWireFile(t *testing.T) {
	want, err := os.ReadFile("../json/testdata/map.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec{}.Marshal(map[string]any{"b": "<&>", "a": []int{1}, "c": nil})
	if err != nil || string(got) != strings.TrimSuffix(string(want), "\n") {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func FuzzUnmarshal(f *testing.F) { encodingtest.Fuzz(f, codec{}) }
