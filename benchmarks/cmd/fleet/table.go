package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// row is what was measured of a fleet.
type row struct {
	nodes       int
	connections int // of clients of Redis, with the one that measures
	idle, busy  cost
	p50, p99    time.Duration // of Set, when it is busy
	sets        int
	failed      int // of the Sets
}

// cost is what a fleet costs its Redis in one measurement.
type cost struct {
	cpu      float64 // in processor seconds a second
	bytes    float64 // sent a second
	commands float64 // a second
}

// writeTable prints rows as a table in Markdown.
func writeTable(out io.Writer, s settings, rows []row) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Each measurement lasted %v, on a machine with %d processors; %d changes a second.\n\n", s.lasts, runtime.NumCPU(), s.rate)
	b.WriteString("| nodes | connections | CPU, idle | out, idle | commands/s, idle | CPU, busy | out, busy | commands/s, busy | Set p50 | Set p99 | Sets, failed |\n")
	b.WriteString("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %d | %d | %s | %s | %v | %v | %d, %d |\n",
			r.nodes, r.connections, r.idle, r.busy, rounded(r.p50), rounded(r.p99), r.sets, r.failed)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// String returns three cells of the table.
func (c cost) String() string {
	return fmt.Sprintf("%.1f %% | %s/s | %.0f", 100*c.cpu, size(c.bytes), c.commands)
}

func size(bytes float64) string {
	const unit = 1000
	switch {
	case bytes < unit:
		return fmt.Sprintf("%.0f B", bytes)
	case bytes < unit*unit:
		return fmt.Sprintf("%.1f kB", bytes/unit)
	}
	return fmt.Sprintf("%.1f MB", bytes/unit/unit)
}

func rounded(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(10 * time.Microsecond)
}
