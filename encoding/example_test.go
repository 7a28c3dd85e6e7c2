package encoding_test

import (
	"encoding/json"
	"fmt"

	"github.com/mgtv-tech/jetcache-go/encoding"
)

type indented struct{}

func (indented) Name() string                       { return "indented-json" }
func (indented) Marshal(v any) ([]byte, error)      { return json.MarshalIndent(v, "", " ") }
func (indented) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

func ExampleRegisterCodec() {
	encoding.RegisterCodec(indented{}) // then cache.WithCodec("indented-json")
	b, err := encoding.GetCodec("Indented-JSON").Marshal(map[string]int{"a": 1})
	fmt.Println(string(b), err)
	// Output:
	// {
	//  "a": 1
	// } <nil>
}
