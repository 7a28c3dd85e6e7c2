package logger

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// captureSlog sends slog.Default to a buffer, at debug level, for one test.
func captureSlog(t *testing.T) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true})))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &buf
}

func TestLevels(t *testing.T) {
	log := func() {
		Debug("d %d", 1)
		Info("i %d", 2)
		Warn("w %d", 3)
		Error("e %d", 4)
	}
	tests := []struct {
		name  string
		level Level
		want  []string
	}{
		{"debug", LevelDebug, []string{"d 1", "i 2", "w 3", "e 4"}},
		{"info", LevelInfo, []string{"i 2", "w 3", "e 4"}},
		{"warn", LevelWarn, []string{"w 3", "e 4"}},
		{"error", LevelError, []string{"e 4"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			buf := captureSlog(t)
			SetLevel(tt.level)
			t.Cleanup(func() { SetLevel(LevelInfo) })
			log()
			lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(tt.want), buf)
			}
			for i, want := range tt.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("line %d is %q, want it to contain %q", i, lines[i], want)
				}
			}
		})
	}
}

func TestDefaultLevelIsInfo(t *testing.T) {
	buf := captureSlog(t)
	Debug("hidden")
	Info("shown")
	if got := buf.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "shown") {
		t.Errorf("at the default level the log is %q", got)
	}
}

func TestSourceIsTheCaller(t *testing.T) {
	buf := captureSlog(t)
	Warn("where")
	if got := buf.String(); !strings.Contains(got, "logger_test.go") {
		t.Errorf("the line names another source than its caller: %q", got)
	}
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

func TestSetDefaultLogger(t *testing.T) {
	t.Cleanup(func() { current.Store(nil) })
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
}

func TestSetDefaultLoggerNilPanics(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "nil") {
			t.Errorf("SetDefaultLogger(nil) panicked with %v, want a sentence about nil", r)
		}
	}()
	SetDefaultLogger(nil)
}

func TestConcurrentUse(t *testing.T) {
	t.Cleanup(func() { current.Store(nil); SetLevel(LevelInfo) })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				SetDefaultLogger(&recLogger{})
				SetLevel(LevelError)
				Warn("x")
				Debug("y")
			}
		})
	}
	wg.Wait()
}
