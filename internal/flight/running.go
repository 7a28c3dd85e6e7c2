package flight

import (
	"sync"
	"time"
)

// running counts the loads that run, by generations: who waits for those that have begun
// does not wait for those that begin meanwhile.
type running struct {
	mu      sync.Mutex
	current *generation // guarded by mu; nil: no load of it has begun
}

// generation are the loads that began between two calls of wait.
type generation struct {
	n     int           // guarded by running's mu
	ended chan struct{} // closed when n is zero and no more begin; nil: nobody waits (guarded by running's mu)
}

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

// wait waits until the loads have ended that have begun since the last call, for bound at
// most. It reports whether they have.
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

// Wait waits until the loads have ended that have begun since the last Wait, for bound at
// most. It reports whether they have. Loads that nobody waits for any more have been
// cancelled, but may not have ended.
func (t *Table[V]) Wait(bound time.Duration) bool { return t.running.wait(bound) }
