package logger_test

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/mgtv-tech/jetcache-go/logger"
)

// timeless returns a slog.Logger that writes to standard output without the time.
func timeless() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// By default, the library's lines go to slog.Default and look like your own.
func Example() {
	slog.SetDefault(timeless())
	logger.SetLevel(logger.LevelWarn)
	defer logger.SetLevel(logger.LevelInfo)
	logger.Info("not shown")
	logger.Warn("cache %s: shown", "users")
	// Output: level=WARN msg="cache users: shown"
}

// A Logger made of a *slog.Logger keeps its attributes.
func ExampleFromSlog() {
	l := logger.FromSlog(timeless().With("team", "payments"))
	l.Error("cache %s: the remote failed", "orders")
	// Output: level=ERROR msg="cache orders: the remote failed" team=payments
}

// A level has a text that can be put in front of a line.
func ExampleLevel_String() {
	fmt.Println(logger.LevelWarn.String() + "cache users: slow")
	// Output: [WARN] cache users: slow
}
