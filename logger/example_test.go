package logger_test

import (
	"log/slog"
	"os"

	"github.com/mgtv-tech/jetcache-go/logger"
)

// The library's lines go to slog.Default: configure that, and they look like your own.
func Example() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	logger.SetLevel(logger.LevelWarn)
	logger.Info("not shown")
	logger.Warn("cache %s: shown", "users")
	// Output: level=WARN msg="cache users: shown"
}
