package local

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestLifetimes(t *testing.T) {
	var l lifetime
	check := func(what string, got, low, high time.Duration) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: an entry lives %s, want %s to %s", what, got, low, high)
		}
	}
	for range 100 {
		l.init("", time.Minute, newClock())
		check("default jitter", l.next(), time.Minute, 66*time.Second)
		l.init("", time.Hour, newClock())
		check("default jitter is at most 10s", l.next(), time.Hour, time.Hour+10*time.Second)
		l.UseRandomizedTTL(time.Minute)
		check("a jitter of one's own", l.next(), time.Hour, 61*time.Minute)
		check("a shorter TTL of its own", l.atMost(time.Second), time.Second, time.Second)
		check("a longer TTL of its own", l.atMost(2*time.Hour), time.Hour, 61*time.Minute)
		l.UseRandomizedTTL(0)
		check("jitter off", l.next(), time.Hour, time.Hour)
		l.init("", 0, newClock())
		l.UseRandomizedTTL(time.Hour)
		check("no expiry", l.next(), 0, 0)
		check("no expiry, a TTL of its own", l.atMost(time.Second), time.Second, time.Second)
	}
}

func TestNoneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]interface {
			Local
			TTLSetter
			Dated
			UseRandomizedTTL(time.Duration)
			Close()
		}{
			"Otter": NewOtter(10, time.Minute), "TinyLFU": NewTinyLFU(10, time.Minute),
		} {
			time.Sleep(time.Hour)
			if got := s.NoneBefore(); !got.Equal(time.Now()) {
				t.Errorf("%s: an empty store says none before %s, want now", name, got)
			}
			first := time.Now()
			s.SetWithTTL("a", []byte("1"), time.Second)
			time.Sleep(30 * time.Second)
			if got := s.NoneBefore(); !got.Equal(first) {
				t.Errorf("%s: none before %s, want the first Set at %s", name, got, first)
			}
			s.UseRandomizedTTL(10 * time.Second)
			s.UseRandomizedTTL(time.Second) // entries with the larger jitter may still be there
			time.Sleep(time.Hour)
			s.Set("a", []byte("1"))
			if got, want := time.Since(s.NoneBefore()), time.Minute+10*time.Second; got != want {
				t.Errorf("%s: none before %s ago, want %s", name, got, want)
			}
			s.Close()
		}
		forever := NewOtter(10, 0)
		defer forever.Close()
		first := time.Now()
		forever.Set("a", []byte("1"))
		time.Sleep(24 * time.Hour)
		if got := forever.NoneBefore(); !got.Equal(first) {
			t.Errorf("without expiry: none before %s, want the first Set at %s", got, first)
		}
	})
}

// A sum of durations that overflows must not make old entries look new.
func TestNoneBeforeOfTheLongestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ttl := range []time.Duration{time.Hour, math.MaxInt64 - 1, math.MaxInt64} {
			for _, offset := range []time.Duration{0, time.Second, math.MaxInt64} {
				s := NewOtter(10, ttl)
				s.UseRandomizedTTL(offset)
				first := time.Now()
				s.Set("k", []byte("v"))
				time.Sleep(time.Minute)
				if got := s.NoneBefore(); !got.Equal(first) {
					t.Errorf("ttl %s, jitter %s: none before %s, want the first Set at %s", ttl, offset, got, first)
				}
				if _, ok := s.Get("k"); !ok {
					t.Errorf("ttl %s, jitter %s: the entry is gone", ttl, offset)
				}
				s.Close()
			}
		}
	})
}
