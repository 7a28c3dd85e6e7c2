package stats_test

import (
	"fmt"

	"github.com/mgtv-tech/jetcache-go/stats"
)

// Several handlers can count side by side: the log, and what feeds your metrics.
func ExampleNewHandles() {
	log := stats.NewStatsLogger("users").(*stats.Stats)
	defer log.Close()
	h := stats.NewHandles(false, log) // , yourMetrics
	h.IncrHit()
	fmt.Println(log.Hit)
	// Output: 1
}
