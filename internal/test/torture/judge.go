package torture

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// judge decides of each read whether a node may return its version. Its methods may be called
// concurrently.
type judge struct {
	// bound is the longest time after the acknowledgement of a write in which the local level of
	// another node may return an older version. Time in which the node is stopped does not count.
	bound time.Duration
	// grace is the longest time that bytes which a link has held back take to arrive, after the
	// link was mended.
	grace time.Duration

	mu        sync.Mutex
	nodes     map[int]*timeline // guarded by mu
	ledgers   map[int]*ledger   // guarded by mu
	notes     []string          // guarded by mu: the last changes of nodes and links, as text
	forgotten spans             // guarded by mu: when Redis may have lost all fences
	tally     tally             // guarded by mu
}

// verdict is the judge's decision about a read.
type verdict uint8

const (
	right    verdict = iota
	unjudged         // it returned an error, or no version
	exempt           // too old, but the local level was in doubt, and the remote could not be asked
	late             // too old, but the network may have delivered the version late; see unsettled
	undone           // too old, but a promoted replica had the version; see revival
	wrong            // too old
)

func newJudge(bound, grace time.Duration) *judge {
	return &judge{bound: bound, grace: grace, nodes: make(map[int]*timeline), ledgers: make(map[int]*ledger)}
}

func (j *judge) nodeLocked(n int) *timeline {
	t := j.nodes[n]
	if t == nil {
		t = new(timeline)
		j.nodes[n] = t
	}
	return t
}

func (j *judge) ledgerLocked(key int) *ledger {
	l := j.ledgers[key]
	if l == nil {
		l = newLedger()
		j.ledgers[key] = l
	}
	return l
}

// happened records a change of a node, or of its links.
func (j *judge) happened(node int, when instant, what string, change func(t *timeline)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(j.nodeLocked(node))
	j.notes = keepNewest(j.notes, fmt.Sprintf("%s node %d: %s", at(when), node, what), maxHistory)
}

// wrote records a write that has ended.
func (j *judge) wrote(w write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.ledgerLocked(w.key)
	w.again = w.again && (w.err != "" || j.nodeLocked(w.node).cut.touch(w.began, w.ended))
	j.tally.write(w)
	l.note(w, j.settledLocked)
	if j.silentLocked(w) {
		j.tally.silent++
		j.tally.violated(fmt.Sprintf("%v returned no error, although its fence was evicted while its function ran", w), j, l)
	}
}

// settledLocked reports whether everything that was under way when a write ended had arrived when
// another write began: the link was whole for long enough in between.
func (j *judge) settledLocked(earlier, w write) bool {
	return earlier.ended+j.grace <= w.began &&
		!j.nodeLocked(earlier.node).cut.touch(w.began-j.grace, w.began)
}

// visibleLocked reports whether a read must see an acknowledged write. It must see it at once if it
// reads the remote, if it is on the node that wrote, or if its node has started since. Otherwise it
// must see it after the bound.
func (j *judge) visibleLocked(r read, w write) bool {
	node := j.nodeLocked(r.node)
	switch {
	case w.ended > r.began:
		return false
	case r.skipsLocal, w.node == r.node, w.ended <= node.started:
		return true
	}
	return node.awake(w.ended, r.began) >= j.bound
}

// read judges a read that has ended.
func (j *judge) read(r read) verdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.ledgerLocked(r.key)
	l.reads = keepNewest(l.reads, r, maxHistory)
	v, why := j.judgeLocked(l, r)
	j.tally.read(r, v)
	if v == wrong {
		j.tally.violated(why, j, l)
	}
	if r.skipsLocal && r.err == "" && r.version > 0 && v != wrong {
		l.sight(r)
	}
	if v == right && !j.excusedLocked(r) {
		t := j.nodeLocked(r.node)
		var age time.Duration
		if w, ok := l.outdated(r.version); ok {
			age = t.awake(w.ended, r.began)
		}
		if t.faulty.touch(r.began-2*j.bound, r.ended) {
			j.tally.troubled.note(age)
		} else {
			j.tally.staleness.note(age)
		}
	}
	return v
}

func (j *judge) judgeLocked(l *ledger, r read) (v verdict, why string) {
	if r.err != "" || r.version == 0 {
		return unjudged, ""
	}
	if r.version > r.newest {
		return wrong, fmt.Sprintf("%v, but the newest is %d", r, r.newest)
	}
	visible := func(w write) bool { return j.visibleLocked(r, w) }
	need := l.required(r, visible)
	switch {
	case r.version >= need.version:
		return right, ""
	case j.excusedLocked(r):
		return exempt, ""
	case l.late(r.version, visible):
		return late, ""
	case l.undone(r.version, visible):
		return undone, ""
	}
	return wrong, fmt.Sprintf("%v, although %v was acknowledged %s earlier", r, need, r.began-need.ended)
}

// excusedLocked reports whether a read may return a version from the local level that is in doubt,
// because the remote could not be asked.
func (j *judge) excusedLocked(r read) bool {
	return r.doubted && !r.skipsLocal && !r.pastLocal && (r.unanswered || j.nodeLocked(r.node).cut.touch(r.began, r.ended))
}

// unfinished returns the keys that need another write: the newest version was not acknowledged, and
// the node that wrote it is dead, so no node will finish it; or the network may still change the
// key; or a promoted replica had an older version. The Mutate of a dead node is finished: it had
// removed the key before, and nothing could be stored, unless its closed fence was lost.
func (j *judge) unfinished(keys int, newest func(key int) int64) (open []int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for key := range keys {
		l := j.ledgerLocked(key)
		version := newest(key)
		w, failed := l.failed[version]
		done := version == 1 || version == l.newest ||
			failed && (w.how == mutates && j.coveredLocked(l, w) || w.ended > j.nodeLocked(w.node).started)
		for _, u := range l.unsettled {
			done = done && (u.cleared != nil || !l.possible(u))
		}
		for _, v := range l.revived {
			done = done && (v.written || v.version >= version)
		}
		if !done {
			open = append(open, key)
		}
	}
	return open
}

// historyOf returns the history of a key, as text.
func (j *judge) historyOf(key int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.ledgerLocked(key).history(), "\n  ")
}
