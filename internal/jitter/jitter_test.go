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
	for _, spread := range []time.Duration{0, -time.Second, math.MinInt64} {
		if got := Add(time.Minute, spread); got != time.Minute {
			t.Errorf("Add(1m, %s) = %s", spread, got)
		}
	}
	for _, spread := range []time.Duration{1, time.Second, math.MaxInt64} {
		if got := Add(math.MaxInt64, spread); got != math.MaxInt64 {
			t.Errorf("the longest duration plus %s became %s", spread, got)
		}
	}
	isSpread(t, time.Minute, time.Minute+time.Second, func() time.Duration { return Add(time.Minute, time.Second) })
}

func TestAround(t *testing.T) {
	for _, spread := range []time.Duration{0, -time.Second, math.MinInt64} {
		if got := Around(spread); got != 0 {
			t.Errorf("Around(%s) = %s", spread, got)
		}
	}
	isSpread(t, -500*time.Millisecond, 500*time.Millisecond, func() time.Duration { return Around(time.Second) })
	isSpread(t, -math.MaxInt64/2, math.MaxInt64/2+1, func() time.Duration { return Around(math.MaxInt64) })
	for range 100 {
		if got := Around(1); got != 0 {
			t.Fatalf("Around(1ns) = %s", got)
		}
	}
}

// isSpread checks that draw gives durations of all parts of [low, high).
func isSpread(t *testing.T, low, high time.Duration, draw func() time.Duration) {
	t.Helper()
	const parts = 10
	var seen [parts]int
	for range 1000 {
		d := draw()
		if d < low || d >= high {
			t.Fatalf("%s is not in [%s, %s)", d, low, high)
		}
		seen[(d-low)/((high-low)/parts+1)]++
	}
	for i, n := range seen {
		if n < 20 { // 100 are expected; 80 less is more than eight standard deviations
			t.Errorf("part %d of %d of [%s, %s) was drawn %d times of 1000", i, parts, low, high, n)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct {
		d        time.Duration
		fraction float64
	}{{time.Minute, 0}, {0, 0.5}, {1, 0.5}, {-time.Second, 0.5}} {
		if got := Shorten(tt.d, tt.fraction); got != tt.d {
			t.Errorf("Shorten(%s, %v) = %s", tt.d, tt.fraction, got)
		}
	}
	almost := math.Nextafter(1, 0)
	for _, d := range []time.Duration{2, time.Microsecond, time.Millisecond, time.Second, math.MaxInt64} {
		for range 1000 {
			if got := Shorten(d, almost); got <= 0 || got > d {
				t.Fatalf("Shorten(%s, %v) = %s", d, almost, got)
			}
		}
	}
	isSpread(t, time.Minute-10*time.Second, time.Minute, func() time.Duration {
		d := Shorten(time.Minute, 1.0/6)
		if d%time.Millisecond != 0 {
			t.Fatalf("%s is not in whole milliseconds", d)
		}
		return d
	})
}
