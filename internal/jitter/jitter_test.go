package jitter

import (
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDefault(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		0: 0, time.Second: 100 * time.Millisecond, time.Minute: 6 * time.Second, time.Hour: 10 * time.Second,
	} {
		if got := Default(ttl); got != want {
			t.Errorf("Default(%s) = %s, want %s", ttl, got, want)
		}
	}
}

func TestAdd(t *testing.T) {
	for _, spread := range []time.Duration{0, -time.Second} {
		if got := Add(time.Minute, spread); got != time.Minute {
			t.Errorf("Add(1m, %s) = %s", spread, got)
		}
	}
	if got := Add(math.MaxInt64, time.Second); got != math.MaxInt64 {
		t.Errorf("the longest duration became %s", got)
	}
	seen := map[time.Duration]bool{}
	for range 1000 {
		got := Add(time.Minute, time.Second)
		if got < time.Minute || got >= time.Minute+time.Second {
			t.Fatalf("Add(1m, 1s) = %s", got)
		}
		seen[got] = true
	}
	if len(seen) < 100 {
		t.Errorf("1000 calls gave only %d different durations", len(seen))
	}
}
