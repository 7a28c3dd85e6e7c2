package schedule

import (
	"sync/atomic"
	"time"
)

// task is a key that is run again and again.
type task[J any] struct {
	key     string
	offset  time.Duration            // how much later than nominal it is due; below zero: earlier
	latest  atomic.Pointer[touch[J]] // the newest touch
	removed atomic.Bool              // written with the scheduler's mu held

	// Guarded by the scheduler's mu.
	nominal    time.Time // a whole number of intervals after the registration
	due        time.Time // when it runs
	attempt    int       // of the next run
	pool       int       // healthy or suspects
	dueIndex   int       // in the pool's heap; below zero if it is not there
	touchIndex int       // in byTouch
	knownTouch time.Time // its place in byTouch
}

// touch is a sign of interest in a task.
type touch[J any] struct {
	at  time.Time
	job J
}

// The pools of tasks.
const (
	healthy  = 0
	suspects = 1
)

// pool has tasks that wait for their next run, and places to run them.
type pool[J any] struct {
	waiting dueHeap[J]
	active  int // how many of its tasks are running
	places  int
}

// markRemoved marks a task as removed, unless a newer touch speaks against it: unused is asked
// about the time of the newest touch. Call it with the scheduler's mu held.
//
// A touch at the same moment is not lost. Touch stores itself and then reads the mark; this
// function sets the mark and then reads the touch. So at least one of the two sees the other.
// If both do, the mark is taken back here, and Touch finds the task when it holds the lock.
func (t *task[J]) markRemoved(unused func(latest time.Time) bool) bool {
	if !unused(t.latest.Load().at) {
		return false
	}
	t.removed.Store(true)
	if unused(t.latest.Load().at) {
		return true
	}
	t.removed.Store(false)
	return false
}
