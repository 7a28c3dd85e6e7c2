// Package json is the codec "json": plain JSON by the standard library, which
// bounds nesting by itself (10,000 levels).
package json

import (
	"encoding/json"

	"github.com/mgtv-tech/jetcache-go/encoding"
)

// Name is what WithCodec calls this codec.
const Name = "json"

func init() { encoding.RegisterCodec(codec{}) }

type codec struct{}

func (codec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (codec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
func (codec) Name() string                       { return Name }
