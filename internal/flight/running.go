package flight

import (
	"sync"
	"time"
)

// running counts the runs of loaders that have not ended. It counts them by generations: a call of
// wait waits for the runs that have begun, and not for those that begin during the wait.
type running struct {
	mu      sync.Mutex
	current *generation // guarded by mu; nil if no run has begun since the last wait
}

// generation is the runs that began between two calls of wait.
type generation struct {
	n     int           // guarded by running's mu: runs that have not ended
	ended chan struct{} // guarded by running's mu: closed when n is zero and no run can be added; nil if nobody waits
}

// begin counts a run. The caller passes the result to end.
func (r *running) begin() *generation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil {
		r.current = &generation{}
	}
	r.current.n++
	return r.current
}

func (r *running) end(g *generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.n--; g.n == 0 && g.ended != nil {
		close(g.ended)
	}
}

// wait waits until the runs have ended that began since the last call, for at most bound. It
// reports whether they have ended.
func (r *running) wait(bound time.Duration) bool {
	r.mu.Lock()
	g := r.current
	r.current = nil
	if g == nil || g.n == 0 {
		r.mu.Unlock()
		return true
	}
	g.ended = make(chan struct{})
	r.mu.Unlock()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-g.ended:
		return true
	case <-timer.C:
		return false
	}
}

// Wait waits until the loads have ended that began since the last Wait, for at most bound. It
// reports whether they have ended. It does wait for the loads that nobody waits for any more:
// they were cancelled, but may still run.
func (t *Table[V]) Wait(bound time.Duration) bool { return t.running.wait(bound) }
