package local

import (
	"math"
	"testing"
)

func TestArenaSizes(t *testing.T) {
	// An entry may take 1/1024 of the arena, which shows its size.
	fits := func(a *Arena, n int) bool {
		s := a.NewFreeCache(0)
		s.Set("k", make([]byte, n))
		_, ok := s.Get("k")
		return ok
	}
	if !fits(NewArena(0), 200_000) || !fits(NewArena(KB), 200_000) || !fits(NewArena(9*GB), 200_000) {
		t.Error("a size outside 512KB to 8GB is not 256MB")
	}
	if a := NewArena(MB); fits(a, 1024) || !fits(a, 900) {
		t.Error("a size within the limits is not taken as it is")
	}
}

func TestArenaSizeFitsAnInt(t *testing.T) {
	large := func(size Size) Size { return size }
	if math.MaxInt == math.MaxInt32 {
		large = func(Size) Size { return 256 * MB }
	}
	for size, want := range map[Size]Size{
		0: 256 * MB, 512*KB - 1: 256 * MB, 512 * KB: 512 * KB, 2*GB - 1: 2*GB - 1,
		2 * GB: large(2 * GB), 4*GB + MB: large(4*GB + MB), 8 * GB: large(8 * GB),
		8*GB + 1: 256 * MB, math.MaxInt64: 256 * MB,
	} {
		if got := Size(arenaSize(size)); got != want {
			t.Errorf("an arena for which %d bytes were asked has %d, want %d", size, got, want)
		}
	}
}
