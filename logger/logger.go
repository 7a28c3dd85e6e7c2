// Package logger is where the library writes what an operator has to see.
//
// By default, lines go to slog.Default, so they have the format and the destination that the
// service has configured for log/slog. SetDefaultLogger sends them elsewhere, and SetLevel drops
// the less severe ones. FromSlog makes a Logger of a *slog.Logger.
package logger

import (
	"log/slog"
	"sync/atomic"
)

// Logger receives log lines. The arguments of its methods are those of fmt.Printf, and the text
// has no newline at its end. Implementations must be safe for concurrent use. They must not
// call the cache that logs, nor the functions of this package.
type Logger interface {
	Debug(format string, v ...any)
	Info(format string, v ...any)
	Warn(format string, v ...any)
	Error(format string, v ...any)
}

// current holds the Logger given to SetDefaultLogger. It is nil as long as lines go to
// slog.Default.
var current atomic.Pointer[holder]

type holder struct{ Logger }

// SetDefaultLogger sends every line that the level allows to l from now on; see SetLevel. It
// panics if l is nil or what Default returned. It may be called at any time and by any
// goroutine.
func SetDefaultLogger(l Logger) {
	switch l.(type) {
	case nil:
		panic("logger: SetDefaultLogger: the logger is nil; give a Logger, or do not call it if lines shall go to log/slog")
	case follower:
		panic("logger: SetDefaultLogger: the logger is what Default returned, which passes lines on to the logger that is set here; give a Logger of your own, or FromSlog(slog.Default())")
	}
	current.Store(&holder{l})
}

// Default returns a Logger whose methods are the functions of this package. It follows later
// calls of SetDefaultLogger and SetLevel.
func Default() Logger { return follower{} }

// follower is what Default returns.
type follower struct{}

func (follower) Debug(format string, v ...any) { forward(LevelDebug, format, v) }
func (follower) Info(format string, v ...any)  { forward(LevelInfo, format, v) }
func (follower) Warn(format string, v ...any)  { forward(LevelWarn, format, v) }
func (follower) Error(format string, v ...any) { forward(LevelError, format, v) }

// Debug writes a line at debug level. The arguments are those of fmt.Printf.
func Debug(format string, v ...any) { forward(LevelDebug, format, v) }

// Info writes a line at info level. The arguments are those of fmt.Printf.
func Info(format string, v ...any) { forward(LevelInfo, format, v) }

// Warn writes a line at warn level. The arguments are those of fmt.Printf.
func Warn(format string, v ...any) { forward(LevelWarn, format, v) }

// Error writes a line at error level. The arguments are those of fmt.Printf.
func Error(format string, v ...any) { forward(LevelError, format, v) }

// forward passes a line on to the logger that is set, if the level allows it.
func forward(l Level, format string, v []any) {
	if !enabled(l) {
		return
	}
	c := current.Load()
	if c == nil {
		write(slog.Default(), l, forwarded, format, v)
		return
	}
	if s, ok := c.Logger.(slogLogger); ok {
		write(s.l, l, forwarded, format, v)
		return
	}
	switch l {
	case LevelDebug:
		c.Debug(format, v...)
	case LevelInfo:
		c.Info(format, v...)
	case LevelWarn:
		c.Warn(format, v...)
	case LevelError:
		c.Error(format, v...)
	}
}
