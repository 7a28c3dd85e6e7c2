package stats

import (
	"math/rand/v2"
	"sync/atomic"
)

// The counters that are spread, by their index in a cell.
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

// spread is a set of cells. Each cell counts a part, so that processors which count at the same
// time do not wait for one cache line. A call picks a random cell. The number of cells is a
// power of two.
type spread []cell

// cell fills two cache lines, because processors fetch them in pairs.
type cell struct {
	n [spreadCount]atomic.Uint64
	_ [128 - 8*spreadCount]byte
}

// cell returns a random cell.
func (c spread) cell() *cell { return &c[int(rand.Uint32())&(len(c)-1)] }

// HitLocally is IncrHit and IncrLocalHit in one call.
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

// Update brings the exported fields up to date if WithSpreadCounters was given. Without that
// option they always are. It may be called at any time and by any goroutine.
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

// increment adds one to a counter, which is given by its field and by its index in a cell.
func (s *Stats) increment(field *uint64, counter int) {
	if s.cells != nil {
		s.cells.cell().n[counter].Add(1)
		return
	}
	atomic.AddUint64(field, 1)
}
