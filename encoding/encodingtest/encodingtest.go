// Package encodingtest is the suite that any encoding.Codec has to pass. Run it
// from a test of your own codec:
//
//	func TestCodec(t *testing.T) { encodingtest.Run(t, mycodec.Codec{}) }
package encodingtest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
)

// Run verifies every property of codec as a subtest.
func Run(t *testing.T, codec encoding.Codec) {
	t.Helper()
	suitetest.Run(t, checks, func(*testing.T) encoding.Codec { return codec })
}

var checks = []suitetest.Check[encoding.Codec]{
	{Name: "the name is there and constant", Verify: name},
	{Name: "values come back equal", Verify: roundTrip},
	{Name: "input is neither kept nor changed", Verify: inputUntouched},
	{Name: "output belongs to the caller", Verify: outputOwned},
	{Name: "what cannot be encoded is an error", Verify: unencodable},
	{Name: "a destination that does not suit is an error", Verify: wrongDestination},
	{Name: "damaged input is an error or a value, never a panic", Verify: damaged},
	{Name: "hostile input costs memory in proportion to what is there", Verify: hostile},
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

// Hostile returns payloads that announce more than they hold, nest without end or
// suit no type. They are also the seeds of the fuzz targets.
func Hostile() [][]byte {
	return [][]byte{
		{},
		{0x00},
		{0x01},
		{0xdd, 0xff, 0xff, 0xff, 0xff, 0x00}, // msgpack: a list of 4 Gi values
		{0xdf, 0xff, 0xff, 0xff, 0xff, 0x00}, // msgpack: a map of 4 Gi pairs
		{0xdb, 0xff, 0xff, 0xff, 0xff, 0x00}, // msgpack: a string of 4 GiB
		{0xc6, 0xff, 0xff, 0xff, 0xff, 0x00}, // msgpack: 4 GiB of bytes
		{0xc9, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00},                      // msgpack: an extension of 4 GiB
		{0x92, 0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0, 0x00},                // msgpack: the same, one level down
		{0xff, 0xff, 0xff, 0xff, 0x0f, 0x01},                            // S2: a block of 4 GiB
		{0x80, 0x80, 0x80, 0x08, 0x00, 0x01},                            // S2: 16 MiB announced, one byte there
		{0x81, 0x91, 0xc0, 0xc0, 0x00},                                  // msgpack: a list as the key of a map
		{0xc1, 0x00},                                                    // msgpack: the code that is never used
		{0xc7, 0x05, 0xff, 0xdf, 0x00, 0x40, 0x00, 0x00, 0x00},          // msgpack: an extension of 5 bytes that begins like a map of 4 Mi pairs
		append(bytes.Repeat([]byte{0x91}, 1<<20), 0x00),                 // msgpack: a million lists in lists
		append(bytes.Repeat([]byte{0x81}, 1<<20), 0x00),                 // msgpack: a million maps in maps
		bytes.Repeat([]byte{'['}, 1<<20),                                // JSON: the same, never closed
		[]byte(strings.Repeat("[", 1<<17) + strings.Repeat("]", 1<<17)), // JSON: closed
		[]byte(strings.Repeat(`{"Parent":`, 1<<17) + "null" + strings.Repeat("}", 1<<17)),
		[]byte(`{"ID":1e400}`), []byte(`{"ID":"x"}`), []byte(`"\ud800"`), []byte("nul"), []byte("\xff\xfe"),
	}
}

// destinations returns a pointer to a zero value of each type that hostile bytes
// are decoded into.
func destinations() []any {
	return []any{
		new(any), new(Entity), new([]int), new([]Entity), new([][]int), new([]string), new(string), new([]byte),
		new(map[string]any), new(map[any]any), new(map[string][]string), new(int), new(float64), new(time.Time), new(*Entity),
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

// normalise sets the times of entities to UTC: a codec may bring them back in
// another zone, as long as the instant is the same.
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

// memoryPerByte bounds what decoding may allocate for a byte of input, over a flat
// allowance: the largest element here is an Entity, and slices grow by copying.
const (
	memoryPerByte = 4096
	memoryFlat    = 80 << 20 // above the 64 MiB that the msgpack codec lets an S2 block announce
)

func hostile(c encoding.Codec) error {
	for _, p := range Hostile() {
		for _, dst := range destinations() {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_ = c.Unmarshal(p, dst)
			runtime.ReadMemStats(&after)
			if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(memoryFlat+memoryPerByte*len(p)); got > limit {
				return fmt.Errorf("decoding %d bytes (% x …) into %T allocated %d bytes, more than %d", len(p), p[:min(len(p), 8)], dst, got, limit)
			}
		}
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
