// Package logger is where the library writes what an operator should see.
//
// By default lines go to slog.Default, so they take the format and the
// destination the service has configured for log/slog. SetDefaultLogger sends
// them elsewhere.
package logger

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
)

// Logger receives the library's log lines. Implementations must be safe for
// concurrent use, and must not call back into the cache that logs.
type Logger interface {
	Debug(format string, v ...any)
	Info(format string, v ...any)
	Warn(format string, v ...any)
	Error(format string, v ...any)
}

// Level is the severity of a line; it is log/slog's.
type Level = slog.Level

// The levels, from the most talkative to the quietest.
const (
	LevelDebug = slog.LevelDebug
	LevelInfo  = slog.LevelInfo
	LevelWarn  = slog.LevelWarn
	LevelError = slog.LevelError
)

// level is the least severe level that the built-in logger writes. Its zero
// value is Info.
var level slog.LevelVar

// current holds the logger given to SetDefaultLogger; nil: the built-in one.
var current atomic.Pointer[holder]

type holder struct{ Logger }

// SetDefaultLogger makes l receive every line from now on. It panics if l is
// nil. It may be called at any time and from any goroutine.
func SetDefaultLogger(l Logger) {
	if l == nil {
		panic("logger: SetDefaultLogger: the logger is nil; give a Logger, or do not call it to keep log/slog")
	}
	current.Store(&holder{l})
}

// SetLevel sets the least severe level that the built-in logger writes (Info
// until it is called). A line is written when this level and the handler of
// slog.Default both allow it. A logger given to SetDefaultLogger receives every
// line and decides for itself. It may be called at any time and from any
// goroutine.
func SetLevel(l Level) { level.Set(l) }

// Debug logs at debug level; the arguments are those of fmt.Printf.
func Debug(format string, v ...any) {
	if c := current.Load(); c != nil {
		c.Debug(format, v...)
		return
	}
	write(LevelDebug, format, v)
}

// Info logs at info level; the arguments are those of fmt.Printf.
func Info(format string, v ...any) {
	if c := current.Load(); c != nil {
		c.Info(format, v...)
		return
	}
	write(LevelInfo, format, v)
}

// Warn logs at warn level; the arguments are those of fmt.Printf.
func Warn(format string, v ...any) {
	if c := current.Load(); c != nil {
		c.Warn(format, v...)
		return
	}
	write(LevelWarn, format, v)
}

// Error logs at error level; the arguments are those of fmt.Printf.
func Error(format string, v ...any) {
	if c := current.Load(); c != nil {
		c.Error(format, v...)
		return
	}
	write(LevelError, format, v)
}

// write hands one line to slog.Default, naming the caller of Debug, Info, Warn
// or Error as its source.
func write(l Level, format string, v []any) {
	ctx := context.Background()
	handler := slog.Default().Handler()
	if l < level.Level() || !handler.Enabled(ctx, l) {
		return
	}
	var pc [1]uintptr
	runtime.Callers(3, pc[:]) // runtime.Callers, write, and Debug … Error
	record := slog.NewRecord(time.Now(), l, fmt.Sprintf(format, v...), pc[0])
	_ = handler.Handle(ctx, record) // a log line that cannot be written has nowhere to be reported
}
