package sonic

import (
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

func TestWireFormat(t *testing.T) {
	b, err := codec{}.Marshal(map[string]any{"b": "<&>", "a": []int{1}})
	if want := "{\"a\":[1],\"b\":\"\\u003c\\u0026\\u003e\"}"; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
}

func FuzzUnmarshal(f *testing.F) { encodingtest.Fuzz(f, codec{}) }
