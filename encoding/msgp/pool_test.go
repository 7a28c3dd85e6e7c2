package msgp

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
	"github.com/mgtv-tech/jetcache-go/encoding/msgp/internal/entitytest"
	"github.com/mgtv-tech/jetcache-go/internal/test/racing"
)

// A decoded value does not change when the payload's buffer is used again, also if generated code
// keeps parts of what it reads.
func TestNothingRefersToThePayload(t *testing.T) {
	raw := bytes.Repeat([]byte{'r'}, 100)
	for _, v := range []any{user(), entitytest.Aliasing{ID: 1, Raw: raw}, entitytest.Wrapped{Inner: map[string]*entitytest.Aliasing{"k": {Raw: raw}}}} {
		s := wire.GetScratch(0)
		m := reflect.New(reflect.TypeOf(v))
		m.Elem().Set(reflect.ValueOf(v))
		plain, err := m.Interface().(interface {
			MarshalMsg([]byte) ([]byte, error)
		}).MarshalMsg(s.B)
		if err != nil {
			t.Fatal(err)
		}
		for name, stored := range map[string][]byte{
			"plain": append(bytes.Clone(plain), 0x00),
			"S2":    append(s2.Encode(nil, plain), 0x01),
		} {
			got := reflect.New(reflect.TypeOf(v))
			if err := (codec{}).Unmarshal(stored, got.Interface()); err != nil {
				t.Fatal(err)
			}
			clear(stored)
			for range 10 {
				other := append(s2.Encode(nil, bytes.Repeat([]byte{'x'}, len(plain))), 0x01)
				_ = codec{}.Unmarshal(other, new(entitytest.User))
				_ = codec{}.Unmarshal(other, new(string))
			}
			if !reflect.DeepEqual(got.Elem().Interface(), v) {
				t.Errorf("%s: what was decoded has become %+v", name, got.Elem())
			}
		}
	}
}

// awkward has methods written by hand.
type awkward struct {
	does string
	own  []byte
}

func (a *awkward) MarshalMsg(b []byte) ([]byte, error) {
	switch a.does {
	case "error":
		return append(b, 0xa3, 'b', 'a', 'd'), errors.New("awkward")
	case "panic":
		panic("awkward")
	case "own": // instead of appending to b
		return a.own, nil
	case "nested":
		inner, err := codec{}.Marshal(user())
		if err != nil {
			return nil, err
		}
		other, err := codec{}.Marshal(awkward{does: "simple"})
		if err != nil {
			return nil, err
		}
		b = append(b, 0xc4, byte(len(inner)+len(other)))
		return append(append(b, inner...), other...), nil
	}
	return append(b, 0x07), nil
}

func (a *awkward) UnmarshalMsg(b []byte) ([]byte, error) {
	switch a.does {
	case "error":
		return b, errors.New("awkward")
	case "panic":
		panic("awkward")
	}
	return b[1:], nil
}

// Errors and panics of one value must not change another.
func TestNothingOfOneValueShowsInAnother(t *testing.T) {
	want := mustMarshal(t, codec{}, user())
	own := append([]byte{0xd9, 200}, bytes.Repeat([]byte{'o'}, 200)...)
	nested := []byte{0xc4, byte(len(want) + 2)}
	nested = append(append(nested, want...), 0x07, 0x00)
	for _, tt := range []struct {
		does string
		want []byte
	}{{"error", nil}, {"panic", nil}, {"own", own}, {"nested", nested}, {"simple", []byte{0x07}}} {
		for range 50 {
			func() {
				defer func() {
					if r := recover(); (r != nil) != (tt.does == "panic") {
						t.Fatalf("%s: recovered %v", tt.does, r)
					}
				}()
				a := awkward{tt.does, bytes.Clone(own)}
				stored, err := codec{}.Marshal(a) // a copy of it gets the pointer
				if (err != nil) != (tt.want == nil) {
					t.Fatalf("%s: %v", tt.does, err)
				}
				if tt.want == nil {
					return
				}
				plain, err := wire.Open(stored)
				if err != nil || !bytes.Equal(plain, tt.want) {
					t.Fatalf("%s: % x, %v, want % x", tt.does, plain, err, tt.want)
				}
				if !bytes.Equal(a.own, own) {
					t.Fatalf("%s: a value's own bytes have become %q", tt.does, a.own)
				}
			}()
			if err := (codec{}).Unmarshal([]byte{0x07, 0x00}, &awkward{does: tt.does}); (err != nil) != (tt.does == "error" || tt.does == "panic") {
				t.Fatalf("%s: reading: %v", tt.does, err)
			}
			if got := mustMarshal(t, codec{}, user()); !bytes.Equal(got, want) {
				t.Fatalf("after %s: wrote % x, want % x", tt.does, got, want)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				want := user()
				want.ID = int64(g)<<32 | int64(i)
				want.Name = strings.Repeat(fmt.Sprint(g), i)
				var got entitytest.User
				stored, err := codec{}.Marshal(want)
				if err == nil {
					err = codec{}.Unmarshal(stored, &got)
				}
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("goroutine %d read %+v, %v", g, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestAllocations(t *testing.T) {
	if racing.Enabled {
		t.Skip("skipped: the race detector allocates")
	}
	v := user()
	users := make(entitytest.Users, 20)
	for i := range users {
		users[i] = v
	}
	pointer := &v
	for name, v := range map[string]any{"a pointer": pointer, "a pointer to it": &pointer, "a value": v, "a list, S2": users} {
		if got := testing.AllocsPerRun(1000, func() {
			if _, err := (codec{}).Marshal(v); err != nil {
				t.Fatal(err)
			}
		}); got != 1 {
			t.Errorf("encoding %s: %v allocations, want one", name, got)
		}
	}
	stored := mustMarshal(t, codec{}, v)
	var dst entitytest.User
	own := testing.AllocsPerRun(1000, func() {
		dst = entitytest.User{}
		if _, err := dst.UnmarshalMsg(stored[:len(stored)-1]); err != nil {
			t.Fatal(err)
		}
	})
	if got := testing.AllocsPerRun(1000, func() {
		dst = entitytest.User{}
		if err := (codec{}).Unmarshal(stored, &dst); err != nil {
			t.Fatal(err)
		}
	}); got != own {
		t.Errorf("decoding: %v allocations, want the generated code's own %v", got, own)
	}
}
