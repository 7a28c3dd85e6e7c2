package stats

import (
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
)

// The counters that a read of a cache may touch, by their place in a cell.
const (
	spreadHit = iota
	spreadMiss
	spreadLocalHit
	spreadLocalMiss
	spreadRemoteHit
	spreadRemoteMiss
	spreadQuery
	spreadQueryFail
	spreadCount
)

// spread is a set of cells that each count a part, so that the cores do not fight over one
// cache line. A call picks a cell by chance.
type spread []cell

// cell fills two cache lines: processors fetch them in pairs.
type cell struct {
	n [spreadCount]atomic.Uint64
	_ [128 - 8*spreadCount]byte
}

// WithSpreadCounters makes parallel counting cheap: each counter is spread over several places
// in memory, and the exported fields are brought up to date only by Update, by Close, and at
// each interval. Without it (the default), the fields are always exact, and cores that count
// at the same time wait for each other. The statistics that a cache makes for itself have it.
func WithSpreadCounters() Option {
	return func(s *Stats) {
		// Some more than there are cores, so that two seldom meet.
		s.cells = make(spread, 1<<bits.Len(uint(4*runtime.GOMAXPROCS(0)-1)))
	}
}

// cell returns one of the cells.
func (c spread) cell() *cell { return &c[int(rand.Uint32())&(len(c)-1)] }

// HitLocally is IncrHit and IncrLocalHit in one.
func (s *Stats) HitLocally() {
	if s.cells == nil {
		s.IncrHit()
		s.IncrLocalHit()
		return
	}
	c := s.cells.cell()
	c.n[spreadHit].Add(1)
	c.n[spreadLocalHit].Add(1)
}

// Update brings the exported fields up to date, if WithSpreadCounters was given. It is safe to
// call at any time and from any goroutine.
func (s *Stats) Update() {
	fields := [spreadCount]*uint64{
		spreadHit: &s.Hit, spreadMiss: &s.Miss,
		spreadLocalHit: &s.LocalHit, spreadLocalMiss: &s.LocalMiss,
		spreadRemoteHit: &s.RemoteHit, spreadRemoteMiss: &s.RemoteMiss,
		spreadQuery: &s.Query, spreadQueryFail: &s.QueryFail,
	}
	for i := range s.cells {
		for n, field := range fields {
			if part := s.cells[i].n[n].Swap(0); part > 0 {
				atomic.AddUint64(field, part)
			}
		}
	}
}

// increment counts one.
func (s *Stats) increment(field *uint64, counter int) {
	if s.cells != nil {
		s.cells.cell().n[counter].Add(1)
		return
	}
	atomic.AddUint64(field, 1)
}
