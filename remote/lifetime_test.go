package remote

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestLifetimesAreRoundedUpToMilliseconds(t *testing.T) {
	const longest = 9_223_372_036_854 // milliseconds
	for give, want := range map[time.Duration]int64{
		1:                                1,
		time.Millisecond - 1:             1,
		time.Millisecond:                 1,
		time.Millisecond + 1:             2,
		time.Second:                      1000,
		longest*time.Millisecond - 1:     longest,
		longest * time.Millisecond:       longest,
		longest*time.Millisecond + 1:     longest,
		math.MaxInt64 - time.Millisecond: longest,
		math.MaxInt64 - 1:                longest,
		math.MaxInt64:                    longest,
	} {
		if got, err := positive(give); got != want || err != nil {
			t.Errorf("positive(%d) = %d, %v, want %d", give, got, err, want)
		}
		if got, err := lifetime("k", give); got != time.Duration(want)*time.Millisecond || err != nil {
			t.Errorf("lifetime(%d) = %s, %v, want %dms", give, got, err, want)
		}
	}
	if got, err := lifetime("k", 0); got != 0 || err != nil {
		t.Errorf("lifetime(0) = %s, %v", got, err)
	}
	if got, err := positive(0); err == nil {
		t.Errorf("positive(0) = %d, want an error", got)
	}
	for _, give := range []time.Duration{-1, -time.Hour, math.MinInt64} {
		if got, err := lifetime("k", give); err == nil {
			t.Errorf("lifetime(%d) = %s, want an error", give, got)
		}
		if got, err := positive(give); err == nil {
			t.Errorf("positive(%d) = %d, want an error", give, got)
		}
	}
}

func TestTheErrorOfALifetimeRepeatsABoundedPartOfTheKey(t *testing.T) {
	_, err := lifetime(strings.Repeat("x", 100_000), -1)
	if text := err.Error(); len(text) > 300 || !strings.Contains(text, `"xxx`) || !strings.Contains(text, "100000 bytes") {
		t.Errorf("the error has %d bytes: %.300s", len(text), text)
	}
}
