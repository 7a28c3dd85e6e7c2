package stats

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// counts is a reading of a Stats' counters, or the difference of two.
type counts struct {
	hit, miss, localHit, localMiss, remoteHit, remoteMiss, query, queryFail uint64
	troubles
}

// troubles are the counts of what should not happen.
type troubles struct {
	remoteErrors, refreshTimeouts, refreshEvicted, eventKeysLost, fillsRefused, syncGaps uint64
}

func (c counts) minus(d counts) counts {
	return counts{
		c.hit - d.hit, c.miss - d.miss,
		c.localHit - d.localHit, c.localMiss - d.localMiss,
		c.remoteHit - d.remoteHit, c.remoteMiss - d.remoteMiss,
		c.query - d.query, c.queryFail - d.queryFail,
		troubles{
			c.remoteErrors - d.remoteErrors, c.refreshTimeouts - d.refreshTimeouts,
			c.refreshEvicted - d.refreshEvicted, c.eventKeysLost - d.eventKeysLost,
			c.fillsRefused - d.fillsRefused, c.syncGaps - d.syncGaps,
		},
	}
}

// row is what one cache did in the time it took.
type row struct {
	name string
	counts
	took time.Duration
}

// table renders the rows, sorted by name: for each cache its total and, below,
// its two levels, which have no loader and so no queries.
func table(rows []row) string {
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	width := len("cache")
	longest := time.Duration(0)
	for _, r := range rows {
		width = max(width, len(r.name+"_remote"))
		longest = max(longest, r.took)
	}

	var b strings.Builder
	line := func(cells ...string) {
		fmt.Fprintf(&b, "%-*s", width, cells[0])
		for _, cell := range cells[1:] {
			fmt.Fprintf(&b, "|%12s", cell)
		}
		b.WriteByte('\n')
	}
	rule := strings.Repeat("-", width) + strings.Repeat("+"+strings.Repeat("-", 12), 6) + "\n"

	fmt.Fprintf(&b, "cache statistics of the last %s\n", longest.Round(time.Millisecond))
	line("cache", "qpm", "hit_ratio", "hit", "miss", "query", "query_fail")
	b.WriteString(rule)
	for _, r := range rows {
		level := func(name string, hit, miss uint64, query, queryFail string) {
			line(name, perMinute(hit+miss, r.took), ratio(hit, miss), fmt.Sprint(hit), fmt.Sprint(miss), query, queryFail)
		}
		level(r.name, r.hit, r.miss, fmt.Sprint(r.query), fmt.Sprint(r.queryFail))
		level(r.name+"_local", r.localHit, r.localMiss, "-", "-")
		level(r.name+"_remote", r.remoteHit, r.remoteMiss, "-", "-")
	}
	b.WriteString(rule)
	for _, r := range rows {
		for _, trouble := range []struct {
			n    uint64
			what string
		}{
			{r.remoteErrors, "remote calls failed"},
			{r.refreshTimeouts, "loads in the background did not end in time"},
			{r.refreshEvicted, "keys are no longer refreshed because too many were"},
			{r.eventKeysLost, "keys whose events were never delivered"},
			{r.fillsRefused, "loaded values were not stored because their keys had been changed meanwhile"},
			{r.syncGaps, "gaps in what other nodes have told: older local entries are checked against the remote"},
		} {
			if trouble.n > 0 {
				fmt.Fprintf(&b, "%s: %d %s\n", r.name, trouble.n, trouble.what)
			}
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func perMinute(n uint64, took time.Duration) string {
	if took <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", float64(n)/took.Minutes())
}

func ratio(hit, miss uint64) string {
	if hit+miss == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f%%", 100*float64(hit)/float64(hit+miss))
}
