package torture

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// judge says of each read whether a node may have returned that. Its methods may be called
// from any goroutine.
type judge struct {
	// bound is how long a write may take, once it is acknowledged, until no other node's local
	// level answers with what was before, of the time that the node runs.
	bound time.Duration
	// grace is how long the bytes may take that a link has held back, once it is whole.
	grace time.Duration

	mu      sync.Mutex
	nodes   map[int]*timeline // guarded by mu
	ledgers map[int]*ledger   // guarded by mu
	notes   []string          // guarded by mu: the newest changes of nodes and links, as text
	tally   tally             // guarded by mu
}

// verdict is what the judge says of a read.
type verdict uint8

const (
	right    verdict = iota
	unjudged         // it returned an error, or nothing
	exempt           // too old, but of a local level in doubt, and the remote could not be asked
	late             // too old, but it may have come to the remote since; see unsettled
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

// happened notes a change of a node, or of its links.
func (j *judge) happened(node int, when instant, what string, change func(t *timeline)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(j.nodeLocked(node))
	j.notes = keepNewest(j.notes, fmt.Sprintf("%s node %d: %s", at(when), node, what), maxHistory)
}

// wrote notes that a write has ended.
func (j *judge) wrote(w write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tally.write(w)
	j.ledgerLocked(w.key).note(w, j.settledLocked)
}

// settledLocked reports whether all that was under way when a write ended had arrived when
// another began: since then the link was whole for a while.
func (j *judge) settledLocked(earlier, w write) bool {
	return earlier.ended+j.grace <= w.began &&
		!j.nodeLocked(earlier.node).cut.touch(w.began-j.grace, w.began)
}

// linkWhole reports whether a node's link to the remote was whole from from to to.
func (j *judge) linkWhole(node int, from, to instant) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.nodeLocked(node).cut.touch(from, to)
}

// visibleLocked reports whether a read has to know a write that was acknowledged: at once if it
// reads the remote, or on the node that wrote, or one whose local level was empty then; after
// the bound otherwise.
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
	if v == right && !j.excusedLocked(r) {
		t := j.nodeLocked(r.node)
		var age time.Duration
		if w, ok := l.outdated(r.version); ok {
			age = t.awake(w.ended, r.began)
		}
		j.tally.stale(age, !t.faulty.touch(r.began-2*j.bound, r.ended))
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
	}
	return wrong, fmt.Sprintf("%v, although %v was acknowledged %s before", r, need, r.began-need.ended)
}

// excusedLocked reports whether a read may return what is in doubt: the remote could not be
// asked.
func (j *judge) excusedLocked(r read) bool {
	return r.doubted && (r.unanswered || j.nodeLocked(r.node).cut.touch(r.began, r.ended))
}

// unfinished returns the keys whose newest version was not acknowledged, and of which no node
// will see to that: the one that wrote it is dead. And those that the network may yet change.
func (j *judge) unfinished(keys int, newest func(key int) int64) (open []int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for key := range keys {
		l := j.ledgerLocked(key)
		version := newest(key)
		w, failed := l.failed[version]
		done := version == 1 || version == l.newest ||
			failed && (w.how == mutates || w.ended > j.nodeLocked(w.node).started)
		for _, u := range l.unsettled {
			done = done && u.cleared != nil
		}
		if !done {
			open = append(open, key)
		}
	}
	return open
}

// historyOf returns what is known of a key, as text.
func (j *judge) historyOf(key int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.ledgerLocked(key).history(), "\n  ")
}
