package logger

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"
)

// FromSlog returns a Logger that writes to l. Each line becomes one record: its message is the
// formatted text, its level is slog's level of the same name, and its source is the caller of
// the Logger. The handler of l alone decides which levels are written; a message that it does
// not want is not formatted. FromSlog panics if l is nil.
//
// Loggers made of the same *slog.Logger are equal by ==.
func FromSlog(l *slog.Logger) Logger {
	if l == nil {
		panic("logger: FromSlog: the *slog.Logger is nil; give slog.Default() or one of your own")
	}
	return slogLogger{l}
}

// slogLogger is what FromSlog returns.
type slogLogger struct{ l *slog.Logger }

func (s slogLogger) Debug(format string, v ...any) { write(s.l, LevelDebug, directly, format, v) }
func (s slogLogger) Info(format string, v ...any)  { write(s.l, LevelInfo, directly, format, v) }
func (s slogLogger) Warn(format string, v ...any)  { write(s.l, LevelWarn, directly, format, v) }
func (s slogLogger) Error(format string, v ...any) { write(s.l, LevelError, directly, format, v) }

// How many callers runtime.Callers skips in write to find the caller of Debug, Info, Warn or
// Error.
const (
	directly  = 3 // runtime.Callers, write, and the method of slogLogger
	forwarded = 4 // runtime.Callers, write, forward, and the function or the method of follower
)

// write hands one line to l.
func write(l *slog.Logger, level Level, skip int, format string, v []any) {
	ctx := context.Background()
	handler, severity := l.Handler(), severityOf(level)
	if !handler.Enabled(ctx, severity) {
		return
	}
	var pc [1]uintptr
	runtime.Callers(skip, pc[:])
	record := slog.NewRecord(time.Now(), severity, fmt.Sprintf(format, v...), pc[0])
	_ = handler.Handle(ctx, record) // nothing is left to report to when the log itself fails
}

// severityOf returns slog's level of the same name.
func severityOf(l Level) slog.Level {
	switch l {
	case LevelDebug:
		return slog.LevelDebug
	case LevelWarn:
		return slog.LevelWarn
	case LevelError:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}
