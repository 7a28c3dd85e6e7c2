// Package json is the codec "json": plain JSON, by the standard library.
//
// It keeps the limits of package encoding: MaxDepth, MaxMemory and MaxErrorText. If a text is long
// enough to exceed MaxMemory in its destination, the codec counts the elements and pairs in the
// text before it decodes anything. Shorter texts cost one look at the type. The standard library
// itself refuses more than MaxDepth lists and maps inside each other. Texts are not compressed,
// so that there is no limit like MaxDecodedSize of package msgpack.
//
// JSON has texts, but no bytes. A []byte is written as a text in base64. It comes back as bytes if
// the destination is a []byte, and as that text if the destination is an interface.
package json

import (
	"bytes"
	"encoding/json"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/jsontext"
)

// Name is what WithCodec calls this codec.
const Name = "json"

func init() { encoding.RegisterCodec(codec{}) }

type codec struct{}

func (codec) Name() string { return Name }

func (codec) Marshal(v any) ([]byte, error) {
	if err := jsontext.CheckNesting(v); err != nil {
		return nil, bound.Wrap(Name, err)
	}
	b, err := json.Marshal(v)
	return b, bound.Trim(err)
}

func (codec) Unmarshal(data []byte, v any) error {
	if err := jsontext.Admit(data, v); err != nil {
		return bound.Wrap(Name, err)
	}
	return bound.Trim(json.Unmarshal(data, v))
}

// Unescaped returns a codec with the given name, which must not be empty. It writes what the
// codec "sonic" writes: it leaves <, > and & in texts as they are, where the codec "json"
// writes them as \u003c, \u003e and \u0026. It reads the same texts as the codec "json", within
// the same limits, and is an encoding.FieldMatcher as well. Unescaped does not register it. It
// may be used concurrently.
func Unescaped(name string) encoding.Codec { return unescaped{name: name} }

type unescaped struct {
	codec
	name string
}

func (u unescaped) Name() string { return u.name }

func (u unescaped) Marshal(v any) ([]byte, error) {
	if err := jsontext.CheckNesting(v); err != nil {
		return nil, bound.Wrap(u.name, err)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, bound.Trim(err)
	}
	return asSonic(bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})), nil
}

// MatchesNoField is that of encoding.FieldMatcher. Names match as in package encoding/json.
func (codec) MatchesNoField(data []byte, v any) bool { return jsontext.MatchesNoField(data, v) }
