package local

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBadSizesAndTTLsPanic(t *testing.T) {
	tests := map[string]func(){
		"NewTinyLFU: the size is 0":          func() { NewTinyLFU(0, time.Minute) },
		"NewTinyLFU: the size is -5":         func() { NewTinyLFU(-5, time.Minute) },
		"NewTinyLFU: the ttl is -1s":         func() { NewTinyLFU(5, -time.Second) },
		"NewOtter: the size is 0":            func() { NewOtter(0, time.Minute) },
		"NewOtter: the ttl is -1s":           func() { NewOtter(5, -time.Second) },
		"NewOtterBytes: the size is 0":       func() { NewOtterBytes(0, time.Minute) },
		"NewOtterBytes: the ttl is -1s":      func() { NewOtterBytes(MB, -time.Second) },
		"NewFreeCache: the size is -1 bytes": func() { NewFreeCache(-1, time.Minute) },
		"NewFreeCache: the ttl is -1s":       func() { NewArena(MB).NewFreeCache(-time.Second) },
		"NewArena: the size is -7 bytes":     func() { NewArena(-7) },
	}
	for want, call := range tests {
		t.Run(want, func(t *testing.T) {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, want) || !strings.Contains(r, "give ") {
					t.Errorf("panicked with %q, want %q and what to give", r, want)
				}
			}()
			call()
		})
	}
}
