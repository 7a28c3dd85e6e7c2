// Package gate lets many goroutines use a thing that one goroutine closes. Close waits until
// nobody uses the thing any more. To enter is cheap, also on many processors at the same time.
package gate

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
)

// stripes is the number of counters. Goroutines on different processors mostly use different ones.
const stripes = 16

// Gate counts who is inside. Its zero value is open. It must not be copied after its first use. Its
// methods may be called concurrently.
type Gate struct {
	closed atomic.Bool
	inside [stripes]struct {
		n atomic.Int64
		_ [56]byte // so that each counter has a cache line of its own
	}
}

// Pass names the counter that a call of Enter has used.
type Pass uint32

// Enter reports whether the gate is open. If it is, the caller is inside until it calls Leave with
// the Pass.
func (g *Gate) Enter() (Pass, bool) {
	p := Pass(rand.Uint32() % stripes)
	// Enter counts the caller and then reads closed. Close sets closed and then reads the counters.
	// So at least one of the two sees the other.
	g.inside[p].n.Add(1)
	if g.closed.Load() {
		g.inside[p].n.Add(-1)
		return 0, false
	}
	return p, true
}

// Leave ends what Enter began.
func (g *Gate) Leave(p Pass) { g.inside[p].n.Add(-1) }

// Close closes the gate and waits until everyone inside has left. It reports whether this call has
// closed it, and not an earlier one. Callers must stay inside for a short time only, because Close
// does not sleep while it waits.
func (g *Gate) Close() bool {
	first := g.closed.CompareAndSwap(false, true)
	for i := range g.inside {
		for g.inside[i].n.Load() > 0 {
			runtime.Gosched()
		}
	}
	return first
}
