package local

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSizes(t *testing.T) {
	for size, want := range map[Size]int64{Byte: 1, KB: 1 << 10, MB: 1 << 20, GB: 1 << 30, TB: 1 << 40} {
		if int64(size) != want {
			t.Errorf("got %d, want %d", size, want)
		}
	}
}

func TestLifetimes(t *testing.T) {
	var l lifetime
	check := func(what string, got, low, high time.Duration) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: an entry lives %s, want %s to %s", what, got, low, high)
		}
	}
	for range 100 {
		l.set("", time.Minute)
		check("default jitter", l.next(), time.Minute, 66*time.Second)
		l.set("", time.Hour)
		check("default jitter is at most 10s", l.next(), time.Hour, time.Hour+10*time.Second)
		l.UseRandomizedTTL(time.Minute)
		check("a jitter of one's own", l.next(), time.Hour, 61*time.Minute)
		check("a shorter TTL of its own", l.atMost(time.Second), time.Second, time.Second)
		check("a longer TTL of its own", l.atMost(2*time.Hour), time.Hour, 61*time.Minute)
		l.UseRandomizedTTL(0)
		check("jitter off", l.next(), time.Hour, time.Hour)
		l.set("", 0)
		l.UseRandomizedTTL(time.Hour)
		check("no expiry", l.next(), 0, 0)
		check("no expiry, a TTL of its own", l.atMost(time.Second), time.Second, time.Second)
	}
}

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
		"FreeCache is -7 bytes":              func() { NewArena(-7) },
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
