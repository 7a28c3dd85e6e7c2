package stats

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/logger"
)

// capture collects what is logged during one test.
func capture(t *testing.T) *lockedBuffer {
	t.Helper()
	buf := &lockedBuffer{}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(buf, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return buf
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was written since the last call.
func (l *lockedBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.ReplaceAll(l.b.String(), `\n`, "\n")
	l.b.Reset()
	return s
}

func TestOneTablePerIntervalForCachesWithTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := capture(t)
		a := NewStatsLogger("alpha").(*Stats)
		defer a.Close()
		time.Sleep(20 * time.Second)
		b := NewStatsLogger("beta").(*Stats)
		defer b.Close()
		idle := NewStatsLogger("idle").(*Stats)
		defer idle.Close()

		for range 3 {
			a.IncrHit()
			a.IncrLocalHit()
		}
		a.IncrMiss()
		b.IncrQuery()
		time.Sleep(41 * time.Second) // past the first full minute
		got := log.take()
		if n := strings.Count(got, "hit_ratio"); n != 1 {
			t.Fatalf("logged %d tables, want one:\n%s", n, got)
		}
		if !strings.Contains(got, "msg=\"jetcache-go stats last 1m0s.\n") {
			t.Errorf("the first line is not the title:\n%s", got)
		}
		for _, want := range []string{
			"cache       |         qpm|   hit_ratio|         hit|        miss|       query|  query_fail\n",
			"alpha       |           4|      75.00%|           3|           1|           0|           0\n",
			"alpha_local |           3|     100.00%|           3|           0|           -|           -\n",
			"beta        |           0|           -|           0|           0|           1|           0\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("the table lacks %q:\n%s", want, got)
			}
		}
		for _, absent := range []string{"idle", "alpha_remote", "beta_local", "beta_remote"} {
			if strings.Contains(got, absent) {
				t.Errorf("the table has %s, which had no traffic:\n%s", absent, got)
			}
		}

		time.Sleep(time.Minute)
		if got := log.take(); got != "" {
			t.Errorf("logged without traffic:\n%s", got)
		}

		a.IncrRemoteError("get", nil)
		a.IncrHit()
		time.Sleep(time.Minute)
		got = log.take()
		if !strings.Contains(got, "alpha       |           1|     100.00%|           1|           0|") {
			t.Errorf("the next table is not of the new counts alone:\n%s", got)
		}
		if !strings.Contains(got, "alpha: remote calls that failed: 1") {
			t.Errorf("the table does not tell of the failed remote call:\n%s", got)
		}
	})
}

func TestEachLoggerHasItsOwnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := capture(t)
		fast := NewStatsLogger("fast", WithStatsInterval(10*time.Second)).(*Stats)
		defer fast.Close()
		slow := NewStatsLogger("slow", WithStatsInterval(-1)).(*Stats) // the default, one minute
		defer slow.Close()
		fast.IncrHit()
		slow.IncrHit()
		time.Sleep(11 * time.Second)
		if got := log.take(); !strings.Contains(got, "fast") || strings.Contains(got, "slow") {
			t.Errorf("after 11s the log is:\n%s", got)
		}
		time.Sleep(50 * time.Second)
		if got := log.take(); strings.Contains(got, "fast") || !strings.Contains(got, "slow") {
			t.Errorf("after a minute the log is:\n%s", got)
		}
	})
}

func TestClosedLoggerIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := capture(t)
		s := NewStatsLogger("closed").(*Stats)
		other := NewStatsLogger("other").(*Stats)
		defer other.Close()
		s.IncrHit()
		s.Close()
		s.Close()
		other.IncrHit()
		time.Sleep(3 * time.Minute)
		if got := log.take(); strings.Contains(got, "closed") || !strings.Contains(got, "other") {
			t.Errorf("the log is:\n%s", got)
		}
	})
}

func TestPercentInNameIsHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := capture(t)
		s := NewStatsLogger("100%d%s").(*Stats)
		defer s.Close()
		s.IncrHit()
		time.Sleep(61 * time.Second)
		if got := log.take(); !strings.Contains(got, "\n100%d%s") || strings.Contains(got, "MISSING") {
			t.Errorf("the log is:\n%s", got)
		}
	})
}

func TestALevelThatWasAskedHasARow(t *testing.T) {
	for name, tt := range map[string]struct {
		count         func(*Stats)
		local, remote bool
	}{
		"local hit":     {(*Stats).IncrLocalHit, true, false},
		"local miss":    {(*Stats).IncrLocalMiss, true, false},
		"remote hit":    {(*Stats).IncrRemoteHit, false, true},
		"remote miss":   {(*Stats).IncrRemoteMiss, false, true},
		"both":          {func(s *Stats) { s.IncrLocalMiss(); s.IncrRemoteMiss() }, true, true},
		"a loader only": {(*Stats).IncrQuery, false, false},
	} {
		s := NewStatsLogger("c").(*Stats)
		tt.count(s)
		got := table(time.Minute, []row{{"c", s.load(), time.Minute}})
		if strings.Contains(got, "c_local ") != tt.local || strings.Contains(got, "c_remote|") != tt.remote || !strings.Contains(got, "\nc       |") {
			t.Errorf("%s: the table is\n%s", name, got)
		}
		s.Close()
	}
}

func TestTheTableNamesTroubles(t *testing.T) {
	s := NewStatsLogger("c").(*Stats)
	defer s.Close()
	callOptional(s)
	s.IncrRemoteError("get", nil)
	got := table(time.Minute, []row{{"c", s.load(), time.Minute}})
	_, frame, _ := strings.Cut(got, "+")
	_, troubles, _ := strings.Cut(frame, "\nc:")
	if n := strings.Count(got, "\nc: "); n != 7 {
		t.Errorf("%d troubles are named, want 7: %s", n, troubles)
	}
	for _, want := range []string{
		"remote calls that failed: 1", "before their deadline: 1", "too many: 1",
		"never delivered: 2", "during the load: 4", "checked against the remote: 1",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the table does not say %q:\n%s", want, got)
		}
	}
}

// recLogger keeps the lines at info level.
type recLogger struct {
	logger.Logger
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (r *recLogger) Info(format string, v ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, v...))
}

// soFar returns the lines so far.
func (r *recLogger) soFar() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines
}

// uncomparable is a Logger that == cannot compare.
type uncomparable struct {
	*recLogger
	_ []int
}

func TestOneTablePerLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := capture(t)
		first, second, third := &recLogger{}, &recLogger{}, &recLogger{}
		for name, opts := range map[string][]Option{
			"a1": {WithLogger(first)}, "a2": {WithLogger(first)}, "b": {WithLogger(second)},
			"default": nil, "default given": {WithLogger(logger.Default())},
			"v1": {WithLogger(uncomparable{recLogger: third})}, "v2": {WithLogger(uncomparable{recLogger: third})},
		} {
			s := NewStatsLogger(name, opts...).(*Stats)
			defer s.Close()
			s.IncrHit()
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		for what, tt := range map[string]struct {
			tables   []string
			tableNum int
			rows     []string
		}{
			"the first logger":  {first.soFar(), 1, []string{"a1", "a2"}},
			"the second logger": {second.soFar(), 1, []string{"b"}},
			"the default":       {[]string{log.take()}, 1, []string{"default", "default given"}},
			"one that == cannot compare has a table for each cache, and": {third.soFar(), 2, []string{"v1", "v2"}},
		} {
			all := strings.Join(tt.tables, "\n")
			if len(tt.tables) != tt.tableNum || strings.Count(all, "hit_ratio") != tt.tableNum || strings.Count(all, "100.00%") != len(tt.rows) {
				t.Errorf("%s got %d tables:\n%s", what, len(tt.tables), all)
			}
			for _, row := range tt.rows {
				if !strings.Contains(all, "\n"+row) {
					t.Errorf("%s got no row for %s:\n%s", what, row, all)
				}
			}
		}
	})
}

// All timers of an interval fire at the same time, and still there is one table.
func TestManyLoggersShareOneTable(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			log := &recLogger{}
			for i := range 50 {
				s := NewStatsLogger(fmt.Sprint("cache", i), WithLogger(log)).(*Stats)
				defer s.Close()
				s.IncrHit()
			}
			time.Sleep(time.Minute + time.Second)
			if tables := log.soFar(); len(tables) != 1 || strings.Count(tables[0], "100.00%") != 50 {
				t.Errorf("50 caches gave %d tables", len(tables))
			}
		})
	}
}

// A Stats that nobody uses any more leaves nothing behind: no goroutine, and no place in the
// registry.
func TestDroppedLoggersLeaveNothing(t *testing.T) {
	opened, goroutines := openCount(), runtime.NumGoroutine()
	for range 200 {
		NewStatsLogger("dropped", WithSpreadCounters()).IncrHit()
	}
	for began := time.Now(); openCount() > opened || runtime.NumGoroutine() > goroutines; runtime.GC() {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("of 200 dropped, %d are in the registry, and there are %d more goroutines", openCount()-opened, runtime.NumGoroutine()-goroutines)
		}
	}
}

func openCount() int {
	open.mu.Lock()
	defer open.mu.Unlock()
	return len(open.m)
}

func TestConcurrentReports(t *testing.T) {
	capture(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				s := NewStatsLogger("busy", WithStatsInterval(time.Millisecond)).(*Stats)
				for range 100 {
					callAll(s)
				}
				s.Close()
			}
		})
	}
	wg.Wait()
}
