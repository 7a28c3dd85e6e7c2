package local

import (
	"testing"
	"testing/synctest"
	"time"
)

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
			s.UseRandomizedTTL(time.Second) // entries of the wider spread are still there
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
