package jsontext

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/nesting"
)

// values checks what is encoded, by the rules of encoding/json.
var values = nesting.New(nesting.Rules{
	Skips: func(f reflect.StructField) bool {
		if f.Tag.Get("json") == "-" {
			return true
		}
		t := f.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		return !f.IsExported() && t.Kind() != reflect.Struct
	},
	Embeds: func(f reflect.StructField) bool {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name == ""
	},
	Own:  []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()},
	Mend: ` (tag json:"-")`,
})

// CheckNesting returns an error if v would nest deeper than MaxDepth as JSON. Types that cannot
// contain themselves take it one look into a cache.
func CheckNesting(v any) error { return values.Check(v) }
