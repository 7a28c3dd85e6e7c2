package encodingtest

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/mgtv-tech/jetcache-go/encoding"
)

// Hostile returns payloads that announce more than they hold, nest without end or suit no type.
// They are also the seeds of the fuzz targets.
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
		bytes.Repeat([]byte{'9'}, 5000),                                                     // JSON: a number, to be quoted
		[]byte(`{"Created":"` + strings.Repeat("x", 5000) + `"}`),                           // JSON: a time, to be quoted
		append(append([]byte{0xda, 0x13, 0x88}, bytes.Repeat([]byte{0x01}, 5000)...), 0x00), // msgpack: a text that is no time
		[]byte(`{"ID":1e400}`), []byte(`{"ID":"x"}`), []byte(`"\ud800"`), []byte("nul"), []byte("\xff\xfe"),
	}
}

// destinations returns a pointer to a zero value of each type that hostile bytes are decoded
// into.
func destinations() []any {
	return []any{
		new(any), new(Entity), new([]int), new([]Entity), new([][]int), new([]string), new(string), new([]byte),
		new(map[string]any), new(map[any]any), new(map[string][]string), new(int), new(float64), new(time.Time), new(*Entity),
	}
}

// kilobyte is a type whose values are large, and empty on the wire.
type kilobyte struct{ A [1024]byte }

// bomb is a payload of at most 3 MiB, which a codec without a limit makes gigabytes of, and
// pointers to zero values of the types that it is for.
type bomb struct {
	payload      []byte
	destinations []any
}

func allBombs() []bomb {
	list := func(element string, n int) []byte {
		return []byte("[" + strings.Repeat(element+",", n) + element + "]")
	}
	packed := func(plain ...[]byte) []byte { return append(s2.Encode(nil, bytes.Join(plain, nil)), 0x01) }
	type (
		pointing  struct{ P *kilobyte }
		embedding struct{ *kilobyte }
		dated     struct{ At time.Time }
		addressed struct{ Addr netip.Addr }
	)
	const many = 1 << 20
	return []bomb{
		// JSON: lists of empty objects, of what does not suit, and of nothing.
		{list("{}", 350_000), []any{new([]kilobyte), new([]*kilobyte), new([16]kilobyte)}},
		{list("0", 500_000), []any{new([]kilobyte), new([]pointing)}},
		{list("null", 300_000), []any{new([]kilobyte)}},
		// JSON: pointers to empty objects, and to what does not suit.
		{list(`{"P":{}}`, 280_000), []any{new([]pointing), new([]embedding)}},
		{list(`{"P":0}`, 280_000), []any{new([]pointing)}},
		// JSON: one key again and again.
		{[]byte("{" + strings.Repeat(`"a":{},`, 270_000) + `"a":0}`), []any{new(map[string]kilobyte)}},
		// JSON: a long number, a long text with escapes, a long key.
		{bytes.Repeat([]byte{'9'}, 1<<20), []any{new(int), new(float64), new(time.Time)}},
		{[]byte(`"` + strings.Repeat(`\u0001`, 150_000) + `"`), []any{new(int), new(time.Time), new(netip.Addr)}},
		{[]byte(`{"` + strings.Repeat("k", 1<<20) + `":1}`), []any{new(Entity), new(map[int]int)}},
		// JSON: long texts that are no time and no address.
		{[]byte(`{"At":"` + strings.Repeat("\x7f", 1<<20) + `"}`), []any{new(dated)}},
		{[]byte(`{"At":"2006-01-02T15:04:05Z` + strings.Repeat("\x7f", 1<<20) + `"}`), []any{new(dated)}},
		{[]byte(`{"Addr":"` + strings.Repeat("\x7f", 1<<20) + `"}`), []any{new(addressed)}},
		// msgpack in S2: a text of which each byte would be quoted, at the top and in a field.
		{packed([]byte{0xdb, 0x03, 0xff, 0x00, 0x00}, bytes.Repeat([]byte{0x01}, 0x3ff0000)), []any{new(time.Time), new(int)}},
		{packed([]byte{0x81, 0xa4, 'A', 'd', 'd', 'r', 0xdb, 1, 0, 0, 0}, make([]byte, 1<<24)), []any{new(addressed)}},
		// msgpack in S2: a list of empty maps, a list of nil, a map of empty maps.
		{packed([]byte{0xdd, 0x00, 0x10, 0x00, 0x00}, bytes.Repeat([]byte{0x80}, many)), []any{new([]kilobyte), new([]pointing)}},
		{packed([]byte{0xdd, 0x00, 0x10, 0x00, 0x00}, bytes.Repeat([]byte{0xc0}, many)), []any{new([]kilobyte), new([]*kilobyte)}},
		{packed([]byte{0xdf, 0x00, 0x08, 0x00, 0x00}, bytes.Repeat([]byte{0xa0, 0x80}, many/2)), []any{new(map[string]kilobyte)}},
		// msgpack in S2: lists in lists, and extensions that could nest what follows them.
		{packed(bytes.Repeat([]byte{0x91}, 1<<20), []byte{0xc0}), []any{new(any), new([]any)}},
		{packed(bytes.Repeat([]byte{0x81, 0xa1, 'k', 0xc7, 0, 0xff}, 1<<17), []byte{0x80}), []any{new(any), new(map[string]any)}},
	}
}

const (
	// memoryPerByte and memoryFlat bound what decoding may allocate for a hostile payload. The
	// largest element in the destinations is an Entity, and lists grow by copying.
	memoryPerByte = 4096
	memoryFlat    = 80 << 20 // more than the 64 MiB to which an S2 block may unpack

	// memoryOfBombs bounds what decoding may allocate for a bomb: lists and texts grow by copying.
	memoryOfBombs = 3 * encoding.MaxMemory
)

func hostile(c encoding.Codec) error {
	for _, p := range Hostile() {
		for _, dst := range destinations() {
			if err := decodesWithin(c, p, dst, uint64(memoryFlat+memoryPerByte*len(p))); err != nil {
				return err
			}
		}
	}
	return nil
}

func bombs(c encoding.Codec) error {
	for _, b := range allBombs() {
		for _, dst := range b.destinations {
			if err := decodesWithin(c, b.payload, dst, memoryOfBombs); err != nil {
				return err
			}
		}
	}
	return nil
}

// decodesWithin returns an error if decoding p allocates more than limit, the text of its error
// included, or if that text is long.
func decodesWithin(c encoding.Codec, p []byte, dst any, limit uint64) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	text := ""
	if err := c.Unmarshal(p, dst); err != nil {
		text = err.Error()
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > limit {
		return fmt.Errorf("decoding %d bytes (% x, and so on) into a %T allocated %d bytes, more than %d: hold what the payload has against a limit before decoding it", len(p), p[:min(len(p), 8)], dst, got, limit)
	}
	if len(text) > encoding.MaxErrorText {
		return fmt.Errorf("decoding %d bytes (% x, and so on) into a %T has an error with a text of %d bytes, more than %d: %.80s", len(p), p[:min(len(p), 8)], dst, len(text), encoding.MaxErrorText, text)
	}
	return nil
}
