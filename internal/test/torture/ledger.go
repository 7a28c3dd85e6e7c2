package torture

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// write is one write of a row and of what caches have of it.
type write struct {
	node         int
	key          int
	how          string
	version      int64 // in the database
	began, ended instant
	err          string // empty: it is acknowledged
	// again says that it carries its value, and that the network may still deliver that: a
	// client has sent it more than once, or does not know whether it has arrived.
	again bool
}

// read is one read of a row.
type read struct {
	node         int
	key          int
	how          string
	began, ended instant
	version      int64 // what it returned; zero: nothing
	newest       int64 // in the database, when it had ended
	err          string
	skipsLocal   bool // it does not look into the local level
	doubted      bool // the node's local level was in doubt
	unanswered   bool // the node did not get an answer from the remote
}

// ledger is what is known of one key.
type ledger struct {
	acked     []write // in the order of their ends, the newest ones
	floor     int64   // every write up to this version that was acknowledged is visible everywhere
	newest    int64   // of all that were acknowledged
	unsettled []unsettled
	failed    map[int64]write // by version: not acknowledged

	// For the reports: the newest ones.
	writes []write
	reads  []read
}

// unsettled is a value that may arrive in the remote at any time: the bytes of a Set are under
// way, and its client has given up on them, or sent them twice. No cache can help that, as it
// can for loaded values, which fences keep out. A Delete has no such trouble.
type unsettled struct {
	write
	cleared *write // from then on it is gone; nil: not yet
}

const (
	// maxAcked bounds what is kept to know what was visible when: far more writes of a key than
	// there are while a write can be invisible.
	maxAcked = 500
	// keepUnsettled is how long a value is remembered that cannot arrive any more.
	keepUnsettled = time.Minute
	// maxHistory is how many writes, and reads, a report shows.
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

// note notes a write. settled tells whether all bytes that were under way when a write ended
// had arrived when another began.
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
	for i := range l.unsettled {
		if u := &l.unsettled[i]; u.cleared == nil && u.version < w.version && settled(u.write, w) {
			u.cleared = &w
		}
	}
}

// required returns the newest write that a read has to know, by what is visible to it.
func (l *ledger) required(r read, visible func(w write) bool) (newest write) {
	newest.version = l.floor
	if r.version >= l.newest {
		return newest // as for most
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
		if u.version == version && (u.cleared == nil || !visible(*u.cleared)) {
			return true
		}
	}
	return false
}

// outdated returns the first write that was acknowledged and made a version out of date.
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

// history returns the newest writes and reads, as text, in the order of their begins.
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
