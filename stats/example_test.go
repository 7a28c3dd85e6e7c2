package stats_test

import (
	"fmt"
	"log/slog"

	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// Several handlers can count side by side, such as the log and your metrics.
func ExampleNewHandles() {
	log := stats.NewStatsLogger("users").(*stats.Stats)
	defer log.Close()
	h := stats.NewHandles(false, log) // , yourMetrics
	h.IncrHit()
	fmt.Println(log.Hit)
	// Output: 1
}

// The table of these statistics goes to a logger of their own.
func ExampleWithLogger() {
	tables := slog.Default().With("component", "cache")
	log := stats.NewStatsLogger("users", stats.WithLogger(logger.FromSlog(tables))).(*stats.Stats)
	defer log.Close()
	fmt.Println(log.Name)
	// Output: users
}
