package cache

import (
	"fmt"
	"math"
	"testing"
)

type (
	namedInt    int
	namedString string
	stringer    int64
	erring      uint32
	uuid        [16]byte
	composite   struct {
		A int
		B string
	}
)

func (s stringer) String() string { return fmt.Sprintf("<%d>", int64(s)) }
func (e erring) Error() string    { return fmt.Sprintf("error %d", uint32(e)) }

// The text of an id is that of fmt.Sprint, also where a fast path makes it.
func TestIDText(t *testing.T) {
	check(t, "", "a b", "a:b", "日本", "%d")
	check(t, 0, -1, 1<<30)
	check[int8](t, -128)
	check[int16](t, -1)
	check[int32](t, -1, 1<<30)
	check[int64](t, -1<<63, 1<<63-1)
	check[uint](t, 0, 1<<31)
	check[uint8](t, 255)
	check[uint16](t, 65535)
	check[uint32](t, 1<<31)
	check[uint64](t, 1<<64-1)
	check(t, 1.5, 1e100, math.Copysign(0, -1))
	check(t, true)
	check[namedInt](t, 7)
	check[namedString](t, "n")
	check[stringer](t, 7)
	check[erring](t, 7)
	check(t, uuid{1, 2, 255})
	check(t, composite{1, "x"})
	check[any](t, 1, "a", nil)
}

func check[K comparable](t *testing.T, ids ...K) {
	t.Helper()
	for _, id := range ids {
		if got, want := string(appendKey(nil, "", "", id)), fmt.Sprint(id); got != want {
			t.Errorf("%T %#v: %q, want %q", id, id, got, want)
		}
	}
}

func TestKeys(t *testing.T) {
	for want, opts := range map[string][]Option{
		"user:7":  nil,
		"user/7":  {WithSeparator("/")},
		"user7":   {WithSeparatorDisabled(true)},
		"user::7": {WithSeparator("::")},
	} {
		c := New(append(opts, WithStatsDisabled(true))...)
		if got := NewT[int, int](c).Key("user", 7); got != want {
			t.Errorf("the key is %q, want %q", got, want)
		}
	}
	if got := NewT[uuid, int](New(WithStatsDisabled(true))).Key("u", uuid{}); got != "u:[0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0]" {
		t.Errorf("the key of an array is %q", got)
	}
}
