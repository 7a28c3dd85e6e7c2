package stats

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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
		for _, want := range []string{
			"cache       |         qpm|   hit_ratio|         hit|        miss|       query|  query_fail\n",
			"alpha       |           4|      75.00%|           3|           1|           0|           0\n",
			"alpha_local |           3|     100.00%|           3|           0|           -|           -\n",
			"alpha_remote|           0|           -|           0|           0|           -|           -\n",
			"beta        |           0|           -|           0|           0|           1|           0\n",
			"beta_local  |", "beta_remote |",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("the table lacks %q:\n%s", want, got)
			}
		}
		if strings.Contains(got, "idle") {
			t.Errorf("the table has a cache without traffic:\n%s", got)
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
		if !strings.Contains(got, "alpha: 1 remote calls failed") {
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
		if got := log.take(); !strings.Contains(got, "100%d%s_local") || strings.Contains(got, "MISSING") {
			t.Errorf("the log is:\n%s", got)
		}
	})
}

func TestDroppedLoggerLeavesTheRegistry(t *testing.T) {
	before := openCount()
	func() {
		s := NewStatsLogger("dropped")
		s.IncrHit()
	}()
	for i := 0; openCount() > before; i++ {
		if i == 100 {
			t.Fatal("the registry still holds a Stats that nobody uses")
		}
		runtime.GC()
		runtime.Gosched()
	}
}

func openCount() int {
	open.mu.Lock()
	defer open.mu.Unlock()
	return len(open.m)
}

func TestConcurrentLoggers(t *testing.T) {
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
