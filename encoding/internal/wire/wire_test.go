package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestSealedValuesOpen(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, minCompressed - 1, minCompressed, 300, MaxKept - 1, MaxKept, MaxKept + 1, 5 << 20} {
		noise := make([]byte, n)
		for i := range noise {
			noise[i] = byte(rnd.Uint32())
		}
		for _, tt := range []struct {
			plain   []byte
			trailer byte
		}{{noise, trailerPlain}, {make([]byte, n), trailerS2}} {
			if n < minCompressed {
				tt.trailer = trailerPlain
			}
			before := bytes.Clone(tt.plain)
			stored := Seal(tt.plain)
			if !bytes.Equal(tt.plain, before) {
				t.Fatalf("%d bytes: sealing changed its input", n)
			}
			if len(stored) > n+1 || stored[len(stored)-1] != tt.trailer || cap(stored) != len(stored) {
				t.Errorf("%d bytes became %d with room for %d, trailer %#02x, want %#02x", n, len(stored), cap(stored), stored[len(stored)-1], tt.trailer)
			}
			if got, err := Open(stored); err != nil || !bytes.Equal(got, tt.plain) {
				t.Errorf("%d bytes opened as %d, %v", n, len(got), err)
			}
		}
	}
}

func TestScratchesThatAreLargeAreNotKept(t *testing.T) {
	for range 100 {
		large := GetScratch(MaxKept + 1)
		if len(large.B) != 0 || cap(large.B) < MaxKept+1 {
			t.Fatalf("%d bytes, room for %d", len(large.B), cap(large.B))
		}
		large.Free()
		grown := GetScratch(MaxKept)
		grown.B = append(grown.B, make([]byte, MaxKept+1)...)
		grown.Free()
		small := GetScratch(1)
		if len(small.B) != 0 || cap(small.B) < 1 || cap(small.B) > MaxKept {
			t.Fatalf("%d bytes, room for %d", len(small.B), cap(small.B))
		}
		small.Free()
	}
}
