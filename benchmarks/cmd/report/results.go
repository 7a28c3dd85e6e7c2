package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// series is what one benchmark says, run after run, about one thing.
type series struct {
	bench string // without "Benchmark" and the number of processors
	procs int
	unit  string
}

// results are the values of all series.
type results struct {
	values  map[series][]float64
	names   []string // the benchmarks, in the order in which they first appeared
	procs   int      // what most of them ran on
	skipped []string // why some did not run
}

func newResults(procs int) *results {
	return &results{values: map[series][]float64{}, procs: procs}
}

// read adds the output of go test -bench.
func (r *results) read(output io.Reader) error {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if err := r.addLine(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// addLine adds what a line says; of lines that are no result it takes failures and why
// something was skipped.
func (r *results) addLine(line string) error {
	trimmed := strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(trimmed, "--- FAIL"), strings.HasPrefix(trimmed, "panic:"):
		return fmt.Errorf("a benchmark failed: %s", trimmed)
	case strings.Contains(trimmed, ": skipped: "):
		_, reason, _ := strings.Cut(trimmed, ": skipped: ")
		if !slices.Contains(r.skipped, reason) {
			r.skipped = append(r.skipped, reason)
		}
		return nil
	}
	fields := strings.Fields(trimmed)
	if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
		return nil
	}
	name, procs := splitProcs(strings.TrimPrefix(fields[0], "Benchmark"))
	if !slices.Contains(r.names, name) {
		r.names = append(r.names, name)
	}
	for i := 2; i < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		s := series{name, procs, fields[i+1]}
		r.values[s] = append(r.values[s], v)
	}
	return nil
}

// splitProcs takes the number of processors off a benchmark's name; where there is none, it
// is 1.
func splitProcs(name string) (string, int) {
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		if n, err := strconv.Atoi(name[i+1:]); err == nil {
			return name[:i], n
		}
	}
	return name, 1
}

// median returns the median of s, and false if nothing was measured.
func (r *results) median(s series) (float64, bool) {
	values := r.values[s]
	return middle(values), len(values) > 0
}

// middle returns the median of values, 0 of none.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	switch n := len(sorted); {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	default:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
}

// runs returns how often the benchmark that ran most did.
func (r *results) runs() int {
	most := 0
	for _, v := range r.values {
		most = max(most, len(v))
	}
	return most
}

// at returns the series of a benchmark on the usual number of processors.
func (r *results) at(bench, unit string) series { return series{bench, r.procs, unit} }
