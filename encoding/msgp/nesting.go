package msgp

import (
	"reflect"
	"slices"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/nesting"
)

// values checks what generated code encodes.
var values = nesting.New(nesting.Rules{
	Skips:  func(f reflect.StructField) bool { return options(f)[0] == "-" },
	Embeds: func(f reflect.StructField) bool { return slices.Contains(options(f)[1:], "flatten") },
	Own:    []reflect.Type{reflect.TypeFor[msgp.Extension]()},
	Mend:   ` (tag msgpack:"-")`,
})

// options returns the name in the field's tag, and the options behind it.
func options(f reflect.StructField) []string {
	tag, ok := f.Tag.Lookup("msg")
	if !ok {
		tag = f.Tag.Get("msgpack")
	}
	return strings.Split(tag, ",")
}
