package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// row is a target and what came of it, as text.
type row struct {
	what, beside string
	ours, floor  string
	ratio        string
	reach        string
	allocs       string
	verdict      verdict
}

type verdict int

const (
	notMeasured verdict = iota
	noTarget
	met
	missed
)

func (v verdict) String() string {
	return [...]string{"not measured", "-", "yes", "NO"}[v]
}

// judge returns the rows of all targets.
func judge(all []target, r *results) []row {
	rows := make([]row, len(all))
	for i, t := range all {
		rows[i] = t.judge(r)
	}
	return rows
}

func (t target) judge(r *results) row {
	out := row{what: t.what, beside: t.beside, reach: t.reach()}
	ours, ok := r.median(t.ours)
	if !ok {
		return out
	}
	out.ours = number(ours, t.ours.unit)
	floor, ok := t.best(r)
	if !ok && t.limit.needsFloor() {
		return out
	}
	if ok {
		out.floor = number(floor, t.ours.unit)
	}
	ratio, fits := t.limit.apply(ours, floor, t.times(r))
	out.ratio = ratio
	out.verdict = missed
	if fits {
		out.verdict = met
	}
	if t.limit.kind == onlyShown {
		out.verdict = noTarget
	}
	if allocs, ok := r.median(series{t.ours.bench, t.ours.procs, "allocs/op"}); ok {
		out.allocs = number(allocs, "allocs/op")
		if most, ok := t.allocs.most(r); ok {
			out.reach += fmt.Sprintf(", ≤ %s allocs", number(most, "allocs/op"))
			if allocs > most {
				out.verdict = missed
			}
		}
	}
	return out
}

// times returns how many times the floor ours is. What was run in the same round is
// compared with each other, as the machine was in the same mood, and the median of that
// counts.
func (t target) times(r *results) float64 {
	ours := r.values[t.ours]
	if len(t.floor) == 1 && len(r.values[t.floor[0]]) == len(ours) {
		ratios := make([]float64, len(ours))
		for round, v := range r.values[t.floor[0]] {
			ratios[round] = ours[round] / v
		}
		return middle(ratios)
	}
	floor, _ := t.best(r)
	return middle(ours) / floor
}

// best returns the best of the floor: the highest hit ratio, the least of anything else.
func (t target) best(r *results) (best float64, ok bool) {
	for _, s := range t.floor {
		v, measured := r.median(s)
		if !measured {
			continue
		}
		switch {
		case !ok:
			best = v
		case t.limit.kind == withinPoints:
			best = max(best, v)
		default:
			best = min(best, v)
		}
		ok = true
	}
	return best, ok
}

// most returns the highest number of allocations, false if there is none or it cannot be
// told.
func (c *ceiling) most(r *results) (float64, bool) {
	if c == nil {
		return 0, false
	}
	if c.above == nil {
		return c.n, true
	}
	base, ok := r.median(*c.above)
	return base + c.n, ok
}

func (l limit) needsFloor() bool {
	return l.kind == onlyShown || l.kind == atMostTimes || l.kind == fasterTimes || l.kind == withinPoints
}

// apply returns the ratio as text and whether it fits. x is how many times the floor ours
// is.
func (l limit) apply(ours, floor, x float64) (ratio string, fits bool) {
	switch l.kind {
	case atMostTimes:
		return times(x), x <= l.n
	case fasterTimes:
		return times(1/x) + " faster", 1/x >= l.n
	case withinPoints:
		return fmt.Sprintf("%+.1f points", ours-floor), ours >= floor-l.n
	case below:
		return "", ours < l.n
	case exactly:
		return "", ours == l.n
	case atMost:
		return "", ours <= l.n
	default:
		return times(x), true
	}
}

// reach returns the target as text.
func (t target) reach() string {
	n := strconv.FormatFloat(t.limit.n, 'g', -1, 64)
	unit := unitText(t.ours.unit)
	switch t.limit.kind {
	case atMostTimes:
		return "≤ " + n + " ×"
	case fasterTimes:
		return "≥ " + n + " × faster"
	case withinPoints:
		return "within " + n + " points"
	case below:
		return strings.TrimSpace("< " + n + " " + unit)
	case exactly:
		return strings.TrimSpace("exactly " + n)
	case atMost:
		return strings.TrimSpace("≤ " + n + " " + unit)
	default:
		return ""
	}
}

func times(x float64) string { return fmt.Sprintf("%.2f ×", x) }

// unitText is how a unit of the benchmarks is shown.
func unitText(unit string) string {
	switch unit {
	case "p50-ms", "p99-ms":
		return "ms"
	case "heap-B/entry":
		return "B"
	case "heap-KiB":
		return "KiB"
	case "hit-%":
		return "%"
	case "ids-asked", "loads", "allocs/op", "bytes", "B/op":
		return ""
	}
	return unit
}

// number returns a value with as many digits as mean something, and its unit.
func number(v float64, unit string) string {
	if unit == "ns/op" {
		return duration(v)
	}
	text := strconv.FormatFloat(v, 'f', digits(v), 64)
	if u := unitText(unit); u != "" {
		text += " " + u
	}
	return text
}

// digits returns how many there are after the point: three in all.
func digits(v float64) int {
	if v == math.Trunc(v) || v >= 100 {
		return 0
	}
	if v >= 10 {
		return 1
	}
	return 2
}

// duration returns nanoseconds in the unit that suits them.
func duration(ns float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= u.size {
			v := ns / u.size
			return strconv.FormatFloat(v, 'f', digits(v), 64) + " " + u.name
		}
	}
	return strconv.FormatFloat(ns, 'f', digits(ns), 64) + " ns"
}
