package shape

import (
	"math/big"
	"reflect"
	"testing"
	"time"
)

type (
	plain struct {
		ID   int
		Made time.Time
		Sum  *big.Int
		Tags map[string][]string
	}
	secret struct {
		ID   int
		name string
	}
	hidden  struct{ a, b int }
	nested  struct{ Users map[int][]*secret }
	outer   struct{ Inner hidden }
	base    struct{ ID int }
	derived struct {
		base
		Name string
	}
	loop struct {
		Next *loop
		back *loop
	}
	many   struct{ A, b, c, d, e, f, g int }
	blank  struct{ _, A int }
	custom struct{ secret string }
)

// Nobody reads the fields that are not exported; reflection sees them.
var _ = []any{secret{name: ""}, hidden{a: 0, b: 0}, loop{back: nil}, many{b: 0, c: 0, d: 0, e: 0, f: 0, g: 0}, custom{secret: ""}}

func (custom) MarshalText() ([]byte, error) { return nil, nil }

func TestWarning(t *testing.T) {
	for want, types := range map[string][]reflect.Type{
		"": {
			nil, reflect.TypeFor[int](), reflect.TypeFor[string](), reflect.TypeFor[any](), reflect.TypeFor[struct{}](),
			reflect.TypeFor[plain](), reflect.TypeFor[*plain](), reflect.TypeFor[[]plain](), reflect.TypeFor[derived](),
			reflect.TypeFor[blank](), reflect.TypeFor[custom](), reflect.TypeFor[*custom](), reflect.TypeFor[time.Time](),
		},
		"unexported fields are not stored: name":                     {reflect.TypeFor[secret](), reflect.TypeFor[**secret]()},
		"unexported fields are not stored: Users.name":               {reflect.TypeFor[nested]()},
		"unexported fields are not stored: back":                     {reflect.TypeFor[loop]()},
		"unexported fields are not stored: b, c, d, e, f and 1 more": {reflect.TypeFor[many]()},
		"shape.hidden has no field that can be stored":               {reflect.TypeFor[hidden](), reflect.TypeFor[[]*hidden]()},
		"Inner has no field that can be stored":                      {reflect.TypeFor[outer]()},
	} {
		for _, typ := range types {
			if got := Warning(typ); got != want {
				t.Errorf("%v: %q, want %q", typ, got, want)
			}
		}
	}
}
