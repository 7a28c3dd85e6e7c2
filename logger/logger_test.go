package logger

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// restore puts the logger and the level back to what they are at the start, after the test.
func restore(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		current.Store(nil)
		SetLevel(LevelInfo)
	})
}

// recLogger records the lines it is given.
type recLogger struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (r *recLogger) add(level, format string, v []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, level+" "+fmt.Sprintf(format, v...))
}

func (r *recLogger) Debug(format string, v ...any) { r.add("debug", format, v) }
func (r *recLogger) Info(format string, v ...any)  { r.add("info", format, v) }
func (r *recLogger) Warn(format string, v ...any)  { r.add("warn", format, v) }
func (r *recLogger) Error(format string, v ...any) { r.add("error", format, v) }

func TestSetDefaultLoggerReceivesEveryLine(t *testing.T) {
	restore(t)
	buf := captureSlog(t)
	SetLevel(LevelDebug)
	rec := &recLogger{}
	SetDefaultLogger(rec)
	Debug("a%d", 1)
	Info("b%d", 2)
	Warn("c%d", 3)
	Error("d%d", 4)
	want := "debug a1,info b2,warn c3,error d4"
	if got := strings.Join(rec.lines, ","); got != want {
		t.Errorf("the logger got %q, want %q", got, want)
	}
	if buf.Len() > 0 {
		t.Errorf("slog got %q, too", buf)
	}
}

func TestDefaultFollowsTheLoggerAndTheLevel(t *testing.T) {
	restore(t)
	buf := captureSlog(t)
	l := Default()
	log := func() {
		l.Debug("a%d", 1)
		l.Info("b%d", 2)
		l.Warn("c%d", 3)
		l.Error("d%d", 4)
	}
	log()
	if got, want := messages(buf), "info b2,warn c3,error d4"; got != want {
		t.Errorf("slog got %q, want %q", got, want)
	}
	rec := &recLogger{}
	SetDefaultLogger(rec)
	SetLevel(LevelError)
	log()
	if got, want := strings.Join(rec.lines, ","), "error d4"; got != want {
		t.Errorf("the logger that was set later got %q, want %q", got, want)
	}
}

func TestSetDefaultLoggerOfWhatCannotWorkPanics(t *testing.T) {
	restore(t)
	for want, l := range map[string]Logger{"the logger is nil": nil, "what Default returned": Default()} {
		func() {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, want) || !strings.Contains(r, "give ") {
					t.Errorf("it panicked with %q, want %q and what to give", r, want)
				}
			}()
			SetDefaultLogger(l)
		}()
	}
}

func TestConcurrentUse(t *testing.T) {
	restore(t)
	captureSlog(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				SetDefaultLogger(&recLogger{})
				SetLevel(LevelError)
				Warn("x")
				Default().Error("y")
			}
		})
	}
	wg.Wait()
}
