// Package encodingtest is the suite that any encoding.Codec has to pass. Run it from a test of
// your own codec:
//
//	func TestCodec(t *testing.T) { encodingtest.Run(t, mycodec.Codec{}) }
package encodingtest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
)

// Run verifies each property of codec as a subtest. A codec without a limit on depth may end the
// process, because no test can recover from a stack overflow.
func Run(t *testing.T, codec encoding.Codec) {
	t.Helper()
	suitetest.Run(t, checks, func(*testing.T) encoding.Codec { return codec })
}

var checks = []suitetest.Check[encoding.Codec]{
	{Name: "the name is there and constant", Verify: name},
	{Name: "values come back equal", Verify: roundTrip},
	{Name: "a text comes back from an interface as a text", Verify: texts},
	{Name: "input is neither kept nor changed", Verify: inputUntouched},
	{Name: "output belongs to the caller", Verify: outputOwned},
	{Name: "what cannot be encoded is an error", Verify: unencodable},
	{Name: "a value that refers back to itself is an error", Verify: cyclic},
	{Name: "a deep value comes back", Verify: deep},
	{Name: "a destination that does not suit is an error", Verify: wrongDestination},
	{Name: "damaged input is an error or a value, never a panic", Verify: damaged},
	{Name: "hostile input costs bounded memory and has a short error", Verify: hostile},
	{Name: "a small payload does not become a large value", Verify: bombs},
	{Name: "concurrent use", Verify: concurrent},
}

// Entity is a value such as services cache.
type Entity struct {
	ID      int64
	Name    string
	Tags    []string
	Attrs   map[string]string
	Score   float64
	Active  bool
	Created time.Time
	Parent  *Entity
	Raw     []byte
}

// Sample returns an Entity with every field set.
func Sample(id int64) Entity {
	return Entity{
		ID: id, Name: "Zoë O'Neill <z@example.com> 日本", Tags: []string{"a", "", "c"},
		Attrs: map[string]string{"k": "v", "": "empty"}, Score: 1.5, Active: true,
		Created: time.Date(2024, 2, 29, 12, 30, 15, 123456000, time.UTC),
		Parent:  &Entity{ID: -id, Created: time.Unix(0, 0).UTC()},
		Raw:     []byte{0, 1, 0xff, '*'},
	}
}

func name(c encoding.Codec) error {
	first, second := c.Name(), c.Name()
	if first == "" {
		return errors.New("the name is empty")
	}
	if first != second {
		return fmt.Errorf("the name changes from call to call: %q, %q", first, second)
	}
	return nil
}

func roundTrip(c encoding.Codec) error {
	long := Sample(7)
	long.Name = strings.Repeat("compressible ", 200)
	values := []any{
		Sample(1), long, Entity{Created: time.Unix(0, 0).UTC()}, 42, -1, int64(1) << 62, uint64(1) << 63, 0.25, true, "", "text", "*",
		[]int{1, 2, 3}, []string{"", "x"}, map[string]int{"a": 1}, [3]int{1, 2, 3}, []Entity{Sample(1), Sample(2)},
	}
	for _, v := range values {
		b, err := c.Marshal(v)
		if err != nil {
			return fmt.Errorf("encoding %#v: %w", v, err)
		}
		if len(b) == 0 {
			return fmt.Errorf("%#v became zero bytes, which a cache reads as no value", v)
		}
		dst := reflect.New(reflect.TypeOf(v))
		if err := c.Unmarshal(b, dst.Interface()); err != nil {
			return fmt.Errorf("decoding %#v: %w", v, err)
		}
		if got := normalise(dst.Elem().Interface()); !reflect.DeepEqual(got, normalise(v)) {
			return fmt.Errorf("%#v came back as %#v", v, got)
		}
	}
	return nil
}

// texts verifies what T does where its values are interfaces: it gives texts to the codec.
func texts(c encoding.Codec) error {
	for _, text := range []string{"", "42", "null", "true", "hello", "AB\x00", `"quoted"`, "<&>", "*", "\u2028"} {
		b, err := c.Marshal(any(text))
		if err != nil {
			return fmt.Errorf("encoding the text %q: %w", text, err)
		}
		var got any
		if err := c.Unmarshal(b, &got); err != nil || got != any(text) {
			return fmt.Errorf("the text %q came back as %#v, %v", text, got, err)
		}
	}
	return nil
}

// normalise sets the times of entities to UTC: a codec may bring them back in another zone, as
// long as the instant is the same.
func normalise(v any) any {
	switch v := v.(type) {
	case Entity:
		v.Created = v.Created.UTC()
		if v.Parent != nil {
			p := normalise(*v.Parent).(Entity)
			v.Parent = &p
		}
		return v
	case []Entity:
		out := make([]Entity, len(v))
		for i := range v {
			out[i] = normalise(v[i]).(Entity)
		}
		return out
	}
	return v
}

func inputUntouched(c encoding.Codec) error {
	b, err := c.Marshal(Sample(3))
	if err != nil {
		return err
	}
	before := bytes.Clone(b)
	var got Entity
	if err := c.Unmarshal(b, &got); err != nil {
		return err
	}
	if !bytes.Equal(b, before) {
		return errors.New("decoding changed its input")
	}
	clear(b)
	if !reflect.DeepEqual(normalise(got), normalise(Sample(3))) {
		return errors.New("the decoded value changes with the input's buffer")
	}
	return nil
}

func outputOwned(c encoding.Codec) error {
	first, err := c.Marshal(Sample(3))
	if err != nil {
		return err
	}
	kept := bytes.Clone(first)
	second, err := c.Marshal(Sample(4))
	if err != nil {
		return err
	}
	if !bytes.Equal(first, kept) {
		return errors.New("a later Marshal changed an earlier result")
	}
	clear(first)
	var got Entity
	if err := c.Unmarshal(second, &got); err != nil || got.ID != 4 {
		return fmt.Errorf("results share memory: decoded %+v, %v", got, err)
	}
	return nil
}

func unencodable(c encoding.Codec) error {
	if b, err := c.Marshal(make(chan int)); err == nil {
		return fmt.Errorf("a channel was encoded as %q", b)
	}
	return nil
}

func wrongDestination(c encoding.Codec) error {
	b, err := c.Marshal(Sample(1))
	if err != nil {
		return err
	}
	var n int
	if err := c.Unmarshal(b, &n); err == nil {
		return errors.New("a struct was decoded into an int")
	}
	if err := c.Unmarshal(b, Entity{}); err == nil {
		return errors.New("a value was decoded into something that is no pointer")
	}
	return nil
}

func damaged(c encoding.Codec) error {
	b, err := c.Marshal(Sample(5))
	if err != nil {
		return err
	}
	for i := range b {
		for _, dst := range destinations() {
			_ = c.Unmarshal(b[:i], dst) // an error or not: it must return
		}
		flipped := bytes.Clone(b)
		flipped[i] ^= 0xff
		_ = c.Unmarshal(flipped, new(Entity))
	}
	var got Entity
	if c.Unmarshal(b[:len(b)/2], &got) == nil {
		return errors.New("half of a value was decoded without an error")
	}
	return nil
}

func concurrent(c encoding.Codec) error {
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for g := range errs {
		wg.Go(func() {
			for i := range int64(50) {
				want := Sample(int64(g)<<32 | i)
				b, err := c.Marshal(want)
				if err != nil {
					errs[g] = err
					return
				}
				var got Entity
				if err := c.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(normalise(got), normalise(want)) {
					errs[g] = fmt.Errorf("goroutine %d read %+v, %v", g, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
