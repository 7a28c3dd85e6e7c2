package util

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mgtv-tech/jetcache-go/logger"
)

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

// record sends the log to a recLogger for one test.
func record(t *testing.T) *recLogger {
	t.Helper()
	rec := &recLogger{}
	logger.SetDefaultLogger(rec)
	t.Cleanup(func() { logger.SetDefaultLogger(logger.FromSlog(slog.Default())) })
	return rec
}

func TestWithRecoverCallsTheFunction(t *testing.T) {
	rec := record(t)
	called := false
	WithRecover(func() { called = true })
	if !called || len(rec.lines) != 0 {
		t.Errorf("called: %v, logged %q", called, rec.lines)
	}
}

func TestWithRecoverLogsAPanicWithItsStack(t *testing.T) {
	for name, tt := range map[string]struct {
		fn   func()
		want string
	}{
		"text":      {func() { panic("100%d boom") }, "100%d boom"},
		"error":     {func() { panic(errors.New("refused")) }, "refused"},
		"panic nil": {func() { panic(nil) }, "panic called with nil argument"}, //nolint:govet // a panic with nil is what is tested
		"nil":       {nil, "nil pointer"},
	} {
		rec := record(t)
		WithRecover(tt.fn)
		if len(rec.lines) != 1 || !strings.HasPrefix(rec.lines[0], "error ") || !strings.Contains(rec.lines[0], tt.want) || strings.Contains(rec.lines[0], "MISSING") {
			t.Errorf("%s: logged %q", name, rec.lines)
			continue
		}
		if tt.fn != nil && !strings.Contains(rec.lines[0], "recover_test.go") {
			t.Errorf("%s: the stack does not lead to the panic: %q", name, rec.lines)
		}
	}
}

func TestWithRecoverLetsAGoroutineExit(t *testing.T) {
	rec := record(t)
	returned := false
	var wg sync.WaitGroup
	wg.Go(func() {
		WithRecover(runtime.Goexit)
		returned = true
	})
	wg.Wait()
	if returned || len(rec.lines) != 0 {
		t.Errorf("returned: %v, logged %q", returned, rec.lines)
	}
}
