package stats

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestStatsCountsEachCall(t *testing.T) {
	h := NewStatsLogger("counts")
	s := h.(*Stats)
	t.Cleanup(s.Close)
	callAll(h)
	h.IncrHit()
	s.IncrRefreshTimeout()
	s.IncrRefreshEvicted()
	s.IncrEventKeysLost(3)
	s.IncrFillRefused(5)
	s.IncrSyncGap()
	s.IncrValueTooLarge()
	want := counts{2, 1, 1, 1, 1, 1, 1, 1, troubles{1, 1, 1, 3, 5, 1, 1}}
	if got := s.load(); got != want {
		t.Errorf("counts are %+v, want %+v", got, want)
	}
	if s.Name != "counts" {
		t.Errorf("Name is %q", s.Name)
	}
}

func TestOptionsOfAStats(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []Option
		want time.Duration
	}{
		"none":                 {nil, time.Minute},
		"an interval":          {[]Option{WithStatsInterval(time.Second)}, time.Second},
		"zero is the default":  {[]Option{WithStatsInterval(time.Second), WithStatsInterval(0)}, time.Minute},
		"below zero, too":      {[]Option{WithStatsInterval(-1)}, time.Minute},
		"of one's own":         {[]Option{func(o *Options) { o.interval = time.Hour }}, time.Hour},
		"the longest duration": {[]Option{WithStatsInterval(1<<63 - 1)}, 1<<63 - 1},
	} {
		s := NewStatsLogger("s", tt.opts...).(*Stats)
		if s.table.interval != tt.want {
			t.Errorf("%s: the interval is %s, want %s", name, s.table.interval, tt.want)
		}
		s.Close()
	}
}

func TestWithLoggerNilPanics(t *testing.T) {
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, "WithLogger") || !strings.Contains(r, "give ") {
			t.Errorf("WithLogger(nil) panicked with %q, want a sentence that says what to give", r)
		}
	}()
	WithLogger(nil)
}
