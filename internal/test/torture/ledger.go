package torture

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// write is one write of a row, in the database and in the caches.
type write struct {
	node         int
	key          int
	how          string
	version      int64 // in the database
	began, ended instant
	err          string // empty if it is acknowledged
	// again says that it carries its value, and that the network may still deliver the value: it has
	// failed, so the client does not know whether it has arrived; or it was acknowledged after a fault
	// of the link, so the client may have sent it more than once. A fence refuses the latter.
	again bool
	// lost says that it is a Mutate whose fence did not stay closed: other nodes may have stored what
	// is old while it ran. Then its change is complete all the same.
	lost bool
	// opened says that the fence was evicted while the function of this Mutate ran.
	opened bool
}

// read is one read of a row.
type read struct {
	node         int
	key          int
	how          string
	began, ended instant
	version      int64 // that it returned; zero if it returned none
	newest       int64 // version in the database when the read had ended
	err          string
	skipsLocal   bool // it asks the remote itself
	pastLocal    bool // it returns nothing from the local level, but may join a load that began earlier
	doubted      bool // the node's local level was in doubt
	unanswered   bool // the node got no answer from the remote
}

// ledger is the history of one key.
type ledger struct {
	acked     []write // the last acknowledged writes, in the order of their ends
	floor     int64   // every acknowledged write up to this version is visible to all reads
	newest    int64   // version of all acknowledged writes
	unsettled []unsettled
	failed    map[int64]write // the writes that were not acknowledged, by version
	revived   []revival
	evicted   []instant // the last times at which its fence may have been evicted

	// The last writes and reads, for the reports.
	writes []write
	reads  []read
}

// unsettled is a value that may arrive in the remote at any time: the bytes of a Set are under
// way, and its client does not wait for them any more. (Fences prevent it for loaded values, and a
// late Delete does no harm. They also prevent it for a Set that was acknowledged, unless they are
// evicted.)
type unsettled struct {
	write
	cleared *write // the write that has replaced or removed the value for good; nil if there is none yet
}

const (
	// maxAcked bounds the number of acknowledged writes that are kept. It is far more than a key
	// has while one of its writes can be invisible to a read.
	maxAcked = 500
	// keepUnsettled is how long a value is kept that cannot arrive any more.
	keepUnsettled = time.Minute
	// maxHistory bounds the number of writes, and of reads, in a report.
	maxHistory = 30
)

func newLedger() *ledger { return &ledger{failed: make(map[int64]write)} }

// keepNewest appends e to list and drops the oldest of more than n.
func keepNewest[E any](list []E, e E, n int) []E {
	if list = append(list, e); len(list) > 2*n {
		list = slices.Delete(list, 0, len(list)-n)
	}
	return list
}

// note records a write. settled reports whether all bytes that were under way when a write ended
// had arrived when another write began.
func (l *ledger) note(w write, settled func(earlier, w write) bool) {
	l.writes = keepNewest(l.writes, w, maxHistory)
	if w.again {
		l.unsettled = append(l.unsettled, unsettled{write: w})
	}
	if w.err != "" {
		l.failed[w.version] = w
		return
	}
	for len(l.acked) >= maxAcked {
		l.floor = max(l.floor, l.acked[0].version)
		l.acked = slices.Delete(l.acked, 0, len(l.acked)/2)
	}
	l.acked = append(l.acked, w)
	l.newest = max(l.newest, w.version)
	for version := range l.failed {
		if version < l.newest {
			delete(l.failed, version)
		}
	}
	l.unsettled = slices.DeleteFunc(l.unsettled, func(u unsettled) bool {
		return u.cleared != nil && u.cleared.ended+keepUnsettled < w.began
	})
	l.supersede(w, w.began)
	for i := range l.unsettled {
		if u := &l.unsettled[i]; u.cleared == nil && u.version < w.version && settled(u.write, w) {
			u.cleared = &w
		}
	}
}

// required returns the newest write that a read must see. visible reports whether it must see a
// write.
func (l *ledger) required(r read, visible func(w write) bool) (newest write) {
	newest.version = l.floor
	if r.version >= l.newest {
		return newest // the usual case
	}
	for _, w := range slices.Backward(l.acked) {
		if w.version > newest.version && visible(w) {
			newest = w
		}
	}
	return newest
}

// late reports whether a version may come from a write that the network has delivered late.
func (l *ledger) late(version int64, visible func(w write) bool) bool {
	for _, u := range l.unsettled {
		if u.version == version && l.possible(u) && (u.cleared == nil || !visible(*u.cleared)) {
			return true
		}
	}
	return false
}

// possible reports whether nothing refuses a value that arrives late.
func (l *ledger) possible(u unsettled) bool {
	return u.err != "" || l.evictedWithin(u.began, forever)
}

// outdated returns the first acknowledged write that made a version out of date.
func (l *ledger) outdated(version int64) (first write, ok bool) {
	if version >= l.newest {
		return first, false
	}
	for _, w := range l.acked {
		if w.version > version {
			return w, true
		}
	}
	return first, false
}

// history returns the last writes and reads, as text, in the order in which they began.
func (l *ledger) history() []string {
	type event struct {
		began instant
		text  string
	}
	var events []event
	for _, w := range l.writes {
		events = append(events, event{w.began, w.String()})
	}
	for _, r := range l.reads {
		events = append(events, event{r.began, r.String()})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.began, b.began) })
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = e.text
	}
	return lines
}

func (w write) String() string {
	s := fmt.Sprintf("%s…%s node %d writes %d: %s of version %d", at(w.began), at(w.ended), w.node, w.key, w.how, w.version)
	if w.err != "" {
		s += " FAILED: " + w.err
	}
	if w.again {
		s += " (may arrive later)"
	}
	if w.lost {
		s += " (its fence was lost)"
	}
	return s
}

func (r read) String() string {
	s := fmt.Sprintf("%s…%s node %d reads %d: %s", at(r.began), at(r.ended), r.node, r.key, r.how)
	switch {
	case r.err != "":
		s += " FAILED: " + r.err
	case r.version == 0:
		s += " finds nothing"
	default:
		s += fmt.Sprintf(" returns version %d", r.version)
	}
	if r.doubted {
		s += " (in doubt)"
	}
	if r.unanswered {
		s += " (the remote did not answer)"
	}
	return s
}

// at returns an instant as text.
func at(t instant) string { return fmt.Sprintf("%.4f", t.Seconds()) }
