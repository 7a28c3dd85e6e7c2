package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// progress prints a line every second until ended is closed.
func (r *replay) progress(w io.Writer, start time.Time, ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n := r.accesses.Load()
			fmt.Fprintf(w, "%5.0fs  %s accesses  %s/s  database asked for %s keys\n", time.Since(start).Seconds(), thousands(n), thousands(perSecond(n, time.Since(start))), thousands(r.db.asked.Load()))
		case <-ended:
			return
		}
	}
}

// print writes the report.
func (r *replay) print(out io.Writer) {
	n, distinct := r.accesses.Load(), int64(len(r.distinct))
	fmt.Fprintf(out, "\nTwo instances on %s, %d requests at a time, %s per query, local level %s entries for %s\n\n", r.server, r.workers, r.latency, thousands(int64(r.local)), r.localTTL)

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }
	line("accesses", thousands(n), fmt.Sprintf("%s in batches of %d, %s distinct keys", thousands(r.batched.Load()), r.batch, thousands(distinct)))
	line("speed", thousands(perSecond(n, r.took))+"/s", fmt.Sprintf("in %s", r.took.Round(10*time.Millisecond)))
	line("changes", thousands(r.writes.Load()), "the database first, then Delete")
	line("database", thousands(r.db.asked.Load())+" keys", fmt.Sprintf("in %s queries; %s of the accesses, %.2f per distinct key", thousands(r.db.queries.Load()), percent(r.db.asked.Load(), n), float64(r.db.asked.Load())/float64(distinct)))
	line("not found", thousands(r.absent.Load()), "answers that a record does not exist")
	line("stale", thousands(r.stale.Load()), percent(r.stale.Load(), n)+" of the accesses; the other instance's local level does not hear of a change")
	line("never true", thousands(r.violations.Load()), "answers that no version of the key accounts for")
	line("failed", thousands(r.failures.Load()), "calls that gave no answer")
	w.Flush()

	fmt.Fprintln(out)
	line("hit ratio", "local", "remote", "in all")
	var lh, lm, rh, rm, h, m uint64
	for _, in := range r.instances {
		c := in.counts
		load := func(p *uint64) uint64 { return atomic.LoadUint64(p) }
		line("instance "+c.Name, ratio(load(&c.LocalHit), load(&c.LocalMiss)), ratio(load(&c.RemoteHit), load(&c.RemoteMiss)), ratio(load(&c.Hit), load(&c.Miss)))
		lh, lm, rh, rm, h, m = lh+load(&c.LocalHit), lm+load(&c.LocalMiss), rh+load(&c.RemoteHit), rm+load(&c.RemoteMiss), h+load(&c.Hit), m+load(&c.Miss)
	}
	line("both", ratio(lh, lm), ratio(rh, rm), ratio(h, m))
	w.Flush()

	fmt.Fprintln(out)
	line("answer from", "reads", "p50", "p90", "p99", "p99.9")
	for _, row := range []struct {
		name string
		*meter
	}{
		{"local", &r.fromLocal}, {"remote", &r.fromRemote}, {"another's flight", &r.fromJoined}, {"database", &r.fromLoad}, {"batch, whole", &r.wholeBatch},
	} {
		if row.total.Load() == 0 {
			line(row.name, "0", "-", "-", "-", "-")
			continue
		}
		line(row.name, thousands(row.total.Load()), short(row.percentile(50)), short(row.percentile(90)), short(row.percentile(99)), short(row.percentile(99.9)))
	}
	w.Flush()

	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	fmt.Fprintf(out, "\nmemory: %d MiB of heap, %d MiB from the system (with the simulated database%s)\n", mem.HeapAlloc>>20, mem.Sys>>20, map[bool]string{true: " and the embedded Redis"}[strings.HasPrefix(r.server, "an ")])
}

func perSecond(n int64, d time.Duration) int64 { return int64(float64(n) / d.Seconds()) }

func percent(n, of int64) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f%%", 100*float64(n)/float64(of))
}

func ratio(hit, miss uint64) string { return percent(int64(hit), int64(hit+miss)) }

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
	unit := time.Duration(1)
	for d/unit >= 100 {
		unit *= 10
	}
	return (d / unit * unit).String()
}
