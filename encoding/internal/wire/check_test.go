package wire

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

func TestCheckAcceptsEveryFormat(t *testing.T) {
	values := []any{
		nil, true, false, 0, -1, -33, 127, 128, 255, 256, math.MaxInt16, math.MaxInt32, int64(math.MaxInt64), int64(math.MinInt64),
		uint8(200), uint16(60000), uint32(1 << 31), uint64(1 << 63), float32(1), 1.0,
		"", strings.Repeat("s", 31), strings.Repeat("s", 200), strings.Repeat("s", 300), strings.Repeat("s", 70_000),
		[]byte{1}, make([]byte, 300), make([]byte, 70_000),
		make([]int, 15), make([]int, 16), make([]int, 70_000),
		map[string]int{"a": 1}, manyKeys(20), manyKeys(70_000),
		encodingtest.Sample(1), // has a time, which is an extension
	}
	for _, v := range values {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := check(b); err != nil {
			t.Errorf("%T of %d bytes: %v", v, len(b), err)
		}
		if _, err := check(b[:len(b)-1]); !errors.Is(err, errTruncated) {
			t.Errorf("%T without its last byte: %v, want %v", v, err, errTruncated)
		}
	}
	for _, ext := range [][]byte{
		append([]byte{0xc7, 3, 5}, 1, 2, 3),
		append([]byte{0xc8, 0, 3, 5}, 1, 2, 3),
		append([]byte{0xc9, 0, 0, 0, 3, 5}, 1, 2, 3),
		append([]byte{0xd8, 5}, make([]byte, 16)...),
	} {
		if _, err := check(ext); err != nil {
			t.Errorf("extension % x: %v", ext[:2], err)
		}
	}
}

func manyKeys(n int) map[int]int {
	m := make(map[int]int, n)
	for i := range n {
		m[i] = i
	}
	return m
}

func TestCheckBoundsDepth(t *testing.T) {
	nest := func(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n), 0xc0) }
	if _, err := check(nest(bound.MaxDepth)); err != nil {
		t.Errorf("%d levels: %v", bound.MaxDepth, err)
	}
	if _, err := check(nest(bound.MaxDepth + 1)); !errors.Is(err, errDepth) {
		t.Errorf("%d levels: %v, want %v", bound.MaxDepth+1, err, errDepth)
	}
	// Values after a nested one must not count as nested.
	wide := append([]byte{0xdd, 0, 1, 0, 0}, bytes.Repeat([]byte{0x90}, 1<<16)...)
	if _, err := check(wide); err != nil {
		t.Errorf("a wide, flat list: %v", err)
	}
}

func BenchmarkCheck(b *testing.B) {
	payload, err := msgpack.Marshal(encodingtest.Sample(1))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := check(payload); err != nil {
			b.Fatal(err)
		}
	}
}
