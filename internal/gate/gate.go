// Package gate lets many goroutines use something that one goroutine will close:
// entering is cheap and does not make the cores fight over one cache line, and
// Close returns only when nobody is inside any more.
package gate

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
)

// stripes is the number of counters that the users spread over.
const stripes = 16

// Gate is open in its zero value. It must not be copied after first use.
type Gate struct {
	closed atomic.Bool
	inside [stripes]struct {
		n atomic.Int64
		_ [56]byte // one counter a cache line
	}
}

// Pass is what Enter hands out and Leave takes back.
type Pass uint32

// Enter reports whether the gate is open; if so, the caller is inside until it
// calls Leave.
func (g *Gate) Enter() (Pass, bool) {
	p := Pass(rand.Uint32() % stripes)
	// Count first, look second: Close shuts first and counts second, so at least
	// one of the two sees the other.
	g.inside[p].n.Add(1)
	if g.closed.Load() {
		g.inside[p].n.Add(-1)
		return 0, false
	}
	return p, true
}

// Leave ends the stay that Enter began.
func (g *Gate) Leave(p Pass) { g.inside[p].n.Add(-1) }

// Close shuts the gate and waits until everyone inside has left. It reports
// whether this call was the one that shut it. What is done inside must be short:
// Close waits by yielding.
func (g *Gate) Close() bool {
	first := g.closed.CompareAndSwap(false, true)
	for i := range g.inside {
		for g.inside[i].n.Load() > 0 {
			runtime.Gosched()
		}
	}
	return first
}
