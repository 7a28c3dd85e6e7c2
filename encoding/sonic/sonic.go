// Package sonic is the codec "sonic": JSON by bytedance/sonic, set to behave like
// the standard library's. Import it for its effect:
//
//	import _ "github.com/mgtv-tech/jetcache-go/encoding/sonic"
//
// Without the import, a cache made with WithCodec("sonic") reads and writes the
// same JSON with the standard library.
//
// Sonic bounds nesting by itself (4,096 levels). Where it has no code of its own
// for a processor or a Go release, it is the standard library underneath.
package sonic

import (
	"github.com/bytedance/sonic"

	"github.com/mgtv-tech/jetcache-go/encoding"
)

// Name is what WithCodec calls this codec.
const Name = "sonic"

func init() { encoding.RegisterCodec(codec{}) }

type codec struct{}

func (codec) Marshal(v any) ([]byte, error)      { return sonic.ConfigStd.Marshal(v) }
func (codec) Unmarshal(data []byte, v any) error { return sonic.ConfigStd.Unmarshal(data, v) }
func (codec) Name() string                       { return Name }
