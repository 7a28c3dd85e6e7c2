package local

import "testing"

func TestSizes(t *testing.T) {
	for size, want := range map[Size]int64{Byte: 1, KB: 1 << 10, MB: 1 << 20, GB: 1 << 30, TB: 1 << 40} {
		if int64(size) != want {
			t.Errorf("got %d, want %d", size, want)
		}
	}
}
