// Package sonic is the codec "sonic": JSON by bytedance/sonic. Import it for its effect:
//
//	import _ "github.com/mgtv-tech/jetcache-go/encoding/sonic"
//
// Without the import, a cache made with WithCodec("sonic") reads and writes the same JSON with
// the standard library.
//
// It writes <, > and & in texts as they are, and the keys of maps in order. Otherwise it behaves
// like the standard library. If sonic has no code of its own for a processor or a Go release, it
// uses the standard library itself.
//
// It keeps the limits of package encoding: MaxDepth, MaxMemory and MaxErrorText. If a text is long
// enough to exceed MaxMemory in its destination, the codec counts the elements and pairs in the
// text before it decodes anything. Sonic itself allows less depth than MaxDepth: it reads 4,096
// lists and maps inside each other, and writes 2,047 structs, or fewer if maps are between them.
// Texts are not compressed, so that there is no limit like MaxDecodedSize of package msgpack. A
// []byte is written as in the codec "json".
package sonic

import (
	"github.com/bytedance/sonic"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/jsontext"
)

// Name is what WithCodec calls this codec.
const Name = "sonic"

func init() { encoding.RegisterCodec(codec{}) }

// api is sonic.ConfigStd without EscapeHTML.
var api = sonic.Config{SortMapKeys: true, CompactMarshaler: true, CopyString: true, ValidateString: true}.Froze()

type codec struct{}

func (codec) Name() string { return Name }

func (codec) Marshal(v any) ([]byte, error) {
	if err := jsontext.CheckNesting(v); err != nil {
		return nil, bound.Wrap(Name, err)
	}
	b, err := api.Marshal(v)
	return b, bound.Trim(err)
}

func (codec) Unmarshal(data []byte, v any) error {
	if err := jsontext.Admit(data, v); err != nil {
		return bound.Wrap(Name, err)
	}
	return bound.Trim(api.Unmarshal(data, v))
}

// MatchesNoField is that of encoding.FieldMatcher. Names match as in package encoding/json.
func (codec) MatchesNoField(data []byte, v any) bool { return jsontext.MatchesNoField(data, v) }
