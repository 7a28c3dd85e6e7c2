package torture

import (
	"slices"
	"time"
)

// instant is a time by the clock of the driver, since its start. The judge knows no other clock.
type instant = time.Duration

// forever is later than any instant.
const forever instant = 1<<63 - 1

// span is a period of time.
type span struct{ from, to instant }

// spans are spans in ascending order that do not overlap. The last one may not have ended.
type spans []span

// begin begins a span.
func (s *spans) begin(at instant) { *s = append(*s, span{at, forever}) }

// end ends the last span, which has not ended.
func (s *spans) end(at instant) { (*s)[len(*s)-1].to = at }

// within returns how much of the time between two instants is in spans.
func (s *spans) within(from, to instant) (sum time.Duration) {
	for _, last := range slices.Backward(*s) {
		if last.to <= from {
			break
		}
		sum += max(0, min(last.to, to)-max(last.from, from))
	}
	return sum
}

// touch reports whether any of the time between two instants is in a span.
func (s *spans) touch(from, to instant) bool {
	for _, last := range slices.Backward(*s) {
		if last.to < from {
			break
		}
		if last.from <= to {
			return true
		}
	}
	return false
}

// timeline is the history of a node.
type timeline struct {
	started instant // when its newest process was started
	stopped spans   // its process was stopped
	cut     spans   // its link to the remote was faulty
	faulty  spans   // anything was wrong with it or its links
}

// awake returns the time between two instants in which the node was not stopped.
func (t *timeline) awake(from, to instant) time.Duration {
	if to <= from {
		return 0
	}
	return to - from - t.stopped.within(from, to)
}
