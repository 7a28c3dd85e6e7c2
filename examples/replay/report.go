package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
)

// status is the line that shows how far the replay is. done is the part of the log that has been
// read.
func (r *replay) status(done float64, elapsed time.Duration) string {
	var left string
	if r.limit > 0 {
		done = max(done, min(elapsed.Seconds()/r.limit.Seconds(), 1))
	}
	if done > 0 {
		left = fmt.Sprintf("%3.0f%%  %4.1fs left  ", 100*done, elapsed.Seconds()*(1/done-1))
	} else {
		left = fmt.Sprintf("%4.1fs  ", elapsed.Seconds())
	}
	return fmt.Sprintf("%sstale: %s plain, %s coherent  of %s reads", left,
		thousands(r.plain.stale.Load()), thousands(r.coherent.stale.Load()), thousands(r.plain.reads.Load()))
}

// print writes the report, in lines of at most width columns.
func (r *replay) print(out io.Writer, width int) {
	fleets := []*fleet{r.plain, r.coherent}
	rows := [][3]string{{"", "plain", "coherent"}}
	row := func(label string, cell func(f *fleet) string) {
		rows = append(rows, [3]string{label, cell(fleets[0]), cell(fleets[1])})
	}
	row("keys read", func(f *fleet) string { return thousands(f.reads.Load()) })
	row("changes", func(f *fleet) string { return thousands(f.writes.Load()) })
	row("stale answers", func(f *fleet) string {
		return fmt.Sprintf("%s (%s)", thousands(f.stale.Load()), percent(f.stale.Load(), f.reads.Load()))
	})
	row("stale for at most", func(f *fleet) string { return short(time.Duration(f.behind.Load())) })
	row("answers that were never true", func(f *fleet) string { return thousands(f.violations.Load()) })
	row("failed calls", func(f *fleet) string { return thousands(f.failures.Load()) })
	row("keys loaded from the database", func(f *fleet) string { return thousands(f.db.loaded.Load()) })
	row("hits in the local level", (*fleet).localHits)
	row("Get, median", func(f *fleet) string { return short(f.latency.percentile(50)) })
	row("Get, 99th percentile", func(f *fleet) string { return short(f.latency.percentile(99)) })

	fill(out, width, fmt.Sprintf("The same requests went to two fleets on %s, for %s. Each fleet has %d instances with a local level of %s entries. "+
		"The coherent one also has WithSyncLocal, WithFence and WithLease.",
		r.server, r.took.Round(100*time.Millisecond), instances, thousands(int64(r.local))))
	fmt.Fprintln(out)
	table(out, width, rows)
	fmt.Fprintln(out)
	fill(out, width, r.conclusion())
}

// conclusion says in one sentence what the table shows.
func (r *replay) conclusion() string {
	plain, coherent := r.plain.stale.Load(), r.coherent.stale.Load()
	without := fmt.Sprintf("without them %s were", thousands(plain))
	if plain > 0 {
		without += fmt.Sprintf(", for up to %s", short(time.Duration(r.plain.behind.Load())))
	}
	with := "no answer was stale"
	if coherent > 0 {
		with = fmt.Sprintf("%s answers were stale, for at most %s", thousands(coherent), short(time.Duration(r.coherent.behind.Load())))
	}
	return fmt.Sprintf("With WithSyncLocal, WithFence and WithLease %s; %s.", with, without)
}

// table prints rows in columns, or one cell below the other if the columns do not fit.
func table(out io.Writer, width int, rows [][3]string) {
	var widths [3]int
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	if widths[0]+2+widths[1]+2+widths[2] < width {
		for _, row := range rows {
			fmt.Fprintf(out, "%-*s  %*s  %*s\n", widths[0], row[0], widths[1], row[1], widths[2], row[2])
		}
		return
	}
	for _, row := range rows[1:] {
		fill(out, width, row[0])
		for i := 1; i < len(row); i++ {
			fill(out, width, fmt.Sprintf("- %s: %s", rows[0][i], row[i]))
		}
	}
}

// fill prints a text in lines of less than width columns. A word that is longer has a line of
// its own.
func fill(out io.Writer, width int, text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) >= width {
			fmt.Fprintln(out, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(out, line)
}

// localHits returns the share of keys that the local levels had.
func (f *fleet) localHits() string {
	var hits, misses uint64
	for _, in := range f.instances {
		hits += atomic.LoadUint64(&in.counts.LocalHit)
		misses += atomic.LoadUint64(&in.counts.LocalMiss)
	}
	return percent(int64(hits), int64(hits+misses))
}

func percent(n, of int64) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f%%", 100*float64(n)/float64(of))
}

// thousands renders n as 1,234,567.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short rounds d to two digits.
func short(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	unit := time.Duration(1)
	for d/unit >= 100 {
		unit *= 10
	}
	return d.Truncate(unit).String()
}
