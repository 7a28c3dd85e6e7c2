package observe_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/stats"
)

var errBoom = errors.New("boom")

// basic is a handler with the methods of stats.Handler alone.
type basic map[string]int

func (b basic) IncrHit()                { b["hit"]++ }
func (b basic) IncrMiss()               { b["miss"]++ }
func (b basic) IncrLocalHit()           { b["local hit"]++ }
func (b basic) IncrLocalMiss()          { b["local miss"]++ }
func (b basic) IncrRemoteHit()          { b["remote hit"]++ }
func (b basic) IncrRemoteMiss()         { b["remote miss"]++ }
func (b basic) IncrQuery()              { b["query"]++ }
func (b basic) IncrQueryFail(err error) { b["query failed: "+err.Error()]++ }

// full is a handler with all optional abilities.
type full struct{ basic }

func (f full) IncrRemoteError(op string, err error) { f.basic["remote: "+op+": "+err.Error()]++ }
func (f full) IncrRefreshTimeout()                  { f.basic["refresh timed out"]++ }
func (f full) IncrRefreshEvicted()                  { f.basic["refresh evicted"]++ }
func (f full) IncrEventKeysLost(n int)              { f.basic["event keys lost"] += n }
func (f full) IncrFillRefused(n int)                { f.basic["fills refused"] += n }
func (f full) IncrSyncGap()                         { f.basic["gap"]++ }
func (f full) IncrValueTooLarge()                   { f.basic["value too large"]++ }

// one has one of the optional abilities.
type one struct{ basic }

func (o one) IncrSyncGap() { o.basic["gap"]++ }

// lines is a logger that keeps its lines.
type lines []string

func (l *lines) add(level, format string, v []any) {
	*l = append(*l, level+" "+fmt.Sprintf(format, v...))
}
func (l *lines) Debug(format string, v ...any) { l.add("debug", format, v) }
func (l *lines) Info(format string, v ...any)  { l.add("info", format, v) }
func (l *lines) Warn(format string, v ...any)  { l.add("warn", format, v) }
func (l *lines) Error(format string, v ...any) { l.add("error", format, v) }

// reportAll reports everything once, and what has a number with 3.
func reportAll(o *observe.Observer) {
	o.LocalHit()
	o.RemoteHit()
	o.Miss()
	o.LocalMiss()
	o.RemoteMiss()
	o.Query()
	o.QueryFailed(errBoom)
	o.RemoteFailed("get", errBoom)
	o.RefreshTimedOut()
	o.RefreshEvicted()
	o.EventKeysLost(3)
	o.FillsRefused(3)
	o.SyncGap()
	o.ValueTooLarge()
}

var (
	reads = map[string]int{
		"hit": 2, "miss": 1, "local hit": 1, "local miss": 1, "remote hit": 1, "remote miss": 1,
		"query": 1, "query failed: boom": 1,
	}
	troubles = map[string]int{
		"remote: get: boom": 1, "refresh timed out": 1, "refresh evicted": 1, "event keys lost": 3, "fills refused": 3, "gap": 1,
		"value too large": 1,
	}
)

// union returns the counts of all of parts.
func union(parts ...map[string]int) map[string]int {
	all := make(map[string]int)
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

func TestAHandlerIsToldOfWhatItCanCount(t *testing.T) {
	tests := map[string]struct {
		make func(counts basic) stats.Handler
		want map[string]int
	}{
		"all abilities": {func(b basic) stats.Handler { return full{b} }, union(reads, troubles)},
		"one ability":   {func(b basic) stats.Handler { return one{b} }, union(reads, map[string]int{"gap": 1})},
		"no ability":    {func(b basic) stats.Handler { return b }, reads},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			counts := basic{}
			reportAll(observe.New("c", test.make(counts), &lines{}))
			if !maps.Equal(counts, test.want) {
				t.Errorf("counted %v, want %v", counts, test.want)
			}
		})
	}
}

func TestTheLibrarysOwnStatisticsCountEverything(t *testing.T) {
	s := stats.NewStatsLogger("c").(*stats.Stats)
	defer s.Close()
	reportAll(observe.New("c", s, &lines{}))
	s.Update()
	got := []uint64{
		s.Hit, s.Miss, s.LocalHit, s.LocalMiss, s.RemoteHit, s.RemoteMiss, s.Query, s.QueryFail,
		s.RemoteErrors, s.RefreshTimeouts, s.RefreshEvicted, s.EventKeysLost, s.FillsRefused, s.SyncGaps, s.ValuesTooLarge,
	}
	if want := []uint64{2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

func TestAHandlerThatDoesNothingCostsNothing(t *testing.T) {
	off := stats.NewHandles(true, full{basic{}})
	if stats.Enabled(off) {
		t.Fatal("this handler does something")
	}
	for name, h := range map[string]stats.Handler{"nil": nil, "disabled": off} {
		o := observe.New("c", h, &lines{})
		if n := testing.AllocsPerRun(100, func() { reportAll(o) }); n != 0 {
			t.Errorf("%s: reporting everything takes %v allocations", name, n)
		}
	}
}

func TestSilentCountsTroublesAndNoReads(t *testing.T) {
	var log lines
	counts := basic{}
	o := observe.New("c", full{counts}, &log)
	silent := o.Silent()
	reportAll(silent)
	if !maps.Equal(counts, troubles) {
		t.Errorf("Silent counts %v, want %v", counts, troubles)
	}
	silent.Warn(nil, "it logs")
	if len(log) != 1 || log[0] != "warn cache c: it logs" || silent.Name() != "c" {
		t.Errorf("the log has %q, the name is %q", log, silent.Name())
	}
	clear(counts)
	reportAll(o) // as before
	if want := union(reads, troubles); !maps.Equal(counts, want) {
		t.Errorf("the first Observer counts %v, want %v", counts, want)
	}
	s := stats.NewStatsLogger("c").(*stats.Stats)
	defer s.Close()
	reportAll(observe.New("c", s, &log).Silent())
	if s.Update(); s.Hit != 0 || s.LocalHit != 0 || s.SyncGaps != 1 {
		t.Errorf("of the library's own statistics: %d hits, %d local hits, %d gaps", s.Hit, s.LocalHit, s.SyncGaps)
	}
}

func TestLinesNameTheLevelAndTheCache(t *testing.T) {
	var log lines
	o := observe.New("shop", nil, &log)
	o.Debug(nil, "%d keys", 1)
	o.Warn(nil, "%d%%", 2)
	o.Error(nil, "nothing to format")
	want := lines{"debug cache shop: 1 keys", "warn cache shop: 2%", "error cache shop: nothing to format"}
	if !slices.Equal(log, want) {
		t.Errorf("the log has %q, want %q", log, want)
	}
}

func TestWithoutALoggerLinesGoToTheDefaultLogger(t *testing.T) {
	var log lines
	o := observe.New("c", nil, nil)
	logger.SetDefaultLogger(&log) // it is followed, also when it is set later
	o.Warn(nil, "here")
	if want := (lines{"warn cache c: here"}); !slices.Equal(log, want) {
		t.Errorf("the log has %q, want %q", log, want)
	}
}

func TestTextsOfOthersAreNoFormat(t *testing.T) {
	var log lines
	o := observe.New("100%d", nil, &log)
	o.Warn(nil, "%v", errors.New("%s of 50%"))
	if want := "warn cache 100%d: %s of 50%"; len(log) != 1 || log[0] != want {
		t.Errorf("the log has %q, want %q", log, want)
	}
}

func TestANilLinePassesAlways(t *testing.T) {
	var log lines
	o := observe.New("c", nil, &log)
	for range 100 {
		o.Warn(nil, "again")
	}
	if len(log) != 100 || slices.ContainsFunc(log, func(l string) bool { return l != "warn cache c: again" }) {
		t.Errorf("the log has %d lines: %q", len(log), log)
	}
}

func TestALineIsBoundedAndTellsWhatItSuppressed(t *testing.T) {
	for name, test := range map[string]struct {
		line     func() *observe.Line
		interval time.Duration
	}{
		"NewLine":     {observe.NewLine, observe.Interval},
		"EverySecond": {observe.EverySecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lines
				o, line := observe.New("c", nil, &log), test.line()
				for range 3 {
					o.Warn(line, "trouble")
				}
				time.Sleep(test.interval - 1)
				o.Error(line, "trouble") // the levels share the line
				if len(log) != 1 || log[0] != "warn cache c: trouble" {
					t.Fatalf("within the interval, the log has %q", log)
				}
				time.Sleep(time.Nanosecond)
				o.Warn(line, "trouble")
				if len(log) != 2 || !strings.HasPrefix(log[1], "warn cache c: trouble (3 lines") {
					t.Fatalf("after the interval, the log has %q", log)
				}
				time.Sleep(test.interval)
				o.Warn(line, "trouble")
				if len(log) != 3 || log[2] != "warn cache c: trouble" {
					t.Errorf("when nothing was suppressed, the log has %q", log)
				}
			})
		})
	}
}

func TestEachLineHasItsOwnBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		o := observe.New("c", nil, &log)
		one, two := observe.NewLine(), observe.NewLine()
		for range 5 {
			o.Warn(one, "one")
			o.Warn(two, "two")
		}
		if want := (lines{"warn cache c: one", "warn cache c: two"}); !slices.Equal(log, want) {
			t.Errorf("the log has %q, want %q", log, want)
		}
	})
}

func TestASuppressedLineIsNotFormatted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, line := observe.New("c", nil, &lines{}), observe.NewLine()
		formatted := 0
		for range 10 {
			o.Warn(line, "%v", counted{&formatted})
		}
		if formatted != 1 {
			t.Errorf("ten lines were formatted %d times, though one passed", formatted)
		}
	})
}

// counted counts how often it is formatted.
type counted struct{ times *int }

func (c counted) String() string { *c.times++; return "counted" }
