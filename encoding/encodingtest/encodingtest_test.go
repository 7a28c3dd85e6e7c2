package encodingtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/encoding"
	_ "github.com/mgtv-tech/jetcache-go/encoding/json"
	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeCodec is a codec that works. Each of the broken ones changes one thing in it.
type fakeCodec struct{}

var working = encoding.GetCodec("json")

func (fakeCodec) Marshal(v any) ([]byte, error)      { return working.Marshal(v) }
func (fakeCodec) Unmarshal(data []byte, v any) error { return working.Unmarshal(data, v) }
func (fakeCodec) Name() string                       { return "fake" }

func TestAWorkingCodecPasses(t *testing.T) { Run(t, fakeCodec{}) }

type brokenName struct{ fakeCodec }

func (brokenName) Name() string { return "" }

type brokenChangingName struct {
	fakeCodec
	n *int
}

func (b brokenChangingName) Name() string { *b.n++; return fmt.Sprint(*b.n) }

type brokenRoundTrip struct{ fakeCodec }

func (brokenRoundTrip) Marshal(v any) ([]byte, error) {
	if s, ok := v.(string); ok {
		v = s + "!"
	}
	return json.Marshal(v)
}

type brokenEmpty struct{ fakeCodec }

func (brokenEmpty) Marshal(v any) ([]byte, error) {
	if v == "" {
		return nil, nil
	}
	return json.Marshal(v)
}

type brokenInput struct{ fakeCodec }

func (brokenInput) Unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	clear(data)
	return err
}

type brokenOutput struct {
	fakeCodec
	buf *[]byte
}

func (b brokenOutput) Marshal(v any) ([]byte, error) {
	out, err := json.Marshal(v)
	*b.buf = append((*b.buf)[:0], out...)
	return *b.buf, err
}

type brokenUnencodable struct{ fakeCodec }

func (brokenUnencodable) Marshal(v any) ([]byte, error) {
	if b, err := json.Marshal(v); err == nil {
		return b, nil
	}
	return []byte("null"), nil
}

type brokenLenient struct{ fakeCodec }

func (brokenLenient) Unmarshal(data []byte, v any) error {
	_ = json.Unmarshal(data, v)
	return nil
}

type brokenPanic struct{ fakeCodec }

func (brokenPanic) Unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		panic(err)
	}
	return nil
}

type brokenTrusting struct{ fakeCodec }

var sink []byte

func (brokenTrusting) Unmarshal(data []byte, v any) error {
	if len(data) == 6 && data[0] == 0xdd { // believes the announced length
		sink = make([]byte, 1<<30)
	}
	return json.Unmarshal(data, v)
}

type brokenUnbounded struct{ fakeCodec }

func (brokenUnbounded) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

type brokenWordy struct{ fakeCodec }

func (brokenWordy) Unmarshal(data []byte, v any) error {
	if err := working.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%.2000q: %w", data, err)
	}
	return nil
}

type brokenCycles struct{ fakeCodec }

func (brokenCycles) Marshal(v any) ([]byte, error) {
	if b, err := working.Marshal(v); err == nil || !strings.Contains(err.Error(), "refers back") {
		return b, err
	}
	return []byte("null"), nil
}

type brokenDeep struct{ fakeCodec }

func (brokenDeep) Marshal(v any) ([]byte, error) {
	b, err := working.Marshal(v)
	if bytes.Count(b, []byte{'{'}) > 100 {
		return nil, errors.New("too deep")
	}
	return b, err
}

type brokenTexts struct{ fakeCodec }

func (brokenTexts) Marshal(v any) ([]byte, error) {
	if s, ok := v.(string); ok { // as a cache stores texts
		return []byte(s), nil
	}
	return working.Marshal(v)
}

func TestTheSuiteCatchesBrokenCodecs(t *testing.T) {
	tests := []struct {
		broken encoding.Codec
		check  string
	}{
		{brokenName{}, "the name is there and constant"},
		{brokenChangingName{n: new(int)}, "the name is there and constant"},
		{brokenRoundTrip{}, "values come back equal"},
		{brokenEmpty{}, "values come back equal"},
		{brokenInput{}, "input is neither kept nor changed"},
		{brokenOutput{buf: new([]byte)}, "output belongs to the caller"},
		{brokenUnencodable{}, "what cannot be encoded is an error"},
		{brokenLenient{}, "a destination that does not suit is an error"},
		{brokenPanic{}, "damaged input is an error or a value, never a panic"},
		{brokenPanic{}, "hostile input costs bounded memory and has a short error"},
		{brokenTrusting{}, "hostile input costs bounded memory and has a short error"},
		{brokenWordy{}, "hostile input costs bounded memory and has a short error"},
		{brokenUnbounded{}, "a small payload does not become a large value"},
		{brokenCycles{}, "a value that refers back to itself is an error"},
		{brokenDeep{}, "a deep value comes back"},
		{brokenTexts{}, "a text comes back from an interface as a text"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%T", tt.broken), func(t *testing.T) {
			if suitetest.Verify(checks, tt.check, tt.broken) == nil {
				t.Errorf("it passes %q", tt.check)
			}
		})
	}
}
