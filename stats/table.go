package stats

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// counts are the counters of a Stats at one time, or the difference between two times.
type counts struct {
	hit, miss, localHit, localMiss, remoteHit, remoteMiss, query, queryFail uint64
	troubles
}

// troubles are the counters of what should not happen.
type troubles struct {
	remoteErrors, refreshTimeouts, refreshEvicted, eventKeysLost, fillsRefused, syncGaps, valuesTooLarge uint64
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
			c.valuesTooLarge - d.valuesTooLarge,
		},
	}
}

// row is what one cache counted, and in which time.
type row struct {
	name string
	counts
	took time.Duration
}

// table renders the rows of an interval, sorted by name. Each cache has a line for its total and
// one for each level that was asked in this time. A level has no loader, so it has no queries.
func table(interval time.Duration, rows []row) string {
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	width := len("cache")
	for _, r := range rows {
		width = max(width, len(r.name+"_remote"))
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

	fmt.Fprintf(&b, "jetcache-go stats last %s.\n", interval)
	line("cache", "qpm", "hit_ratio", "hit", "miss", "query", "query_fail")
	b.WriteString(rule)
	for _, r := range rows {
		counted := func(name string, hit, miss uint64, query, queryFail string) {
			line(name, perMinute(hit+miss, r.took), ratio(hit, miss), fmt.Sprint(hit), fmt.Sprint(miss), query, queryFail)
		}
		counted(r.name, r.hit, r.miss, fmt.Sprint(r.query), fmt.Sprint(r.queryFail))
		if r.localHit+r.localMiss > 0 {
			counted(r.name+"_local", r.localHit, r.localMiss, "-", "-")
		}
		if r.remoteHit+r.remoteMiss > 0 {
			counted(r.name+"_remote", r.remoteHit, r.remoteMiss, "-", "-")
		}
	}
	b.WriteString(rule)
	for _, r := range rows {
		for _, trouble := range []struct {
			what string
			n    uint64
		}{
			{"remote calls that failed", r.remoteErrors},
			{"loads in the background that did not end before their deadline", r.refreshTimeouts},
			{"keys that are no longer refreshed because there were too many", r.refreshEvicted},
			{"keys whose events were never delivered", r.eventKeysLost},
			{"loaded values that were not stored because their keys had changed during the load", r.fillsRefused},
			{"times at which messages of other nodes may have been missed, so that older local entries are checked against the remote", r.syncGaps},
			{"values that were not stored because they are too large", r.valuesTooLarge},
		} {
			if trouble.n > 0 {
				fmt.Fprintf(&b, "%s: %s: %d\n", r.name, trouble.what, trouble.n)
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
