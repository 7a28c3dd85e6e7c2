package load

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/internal/throttle"
)

// Early decides when a value is loaded before it expires. It is the algorithm XFetch: a read that finds a
// value whose TTL ends in r loads it if a draw from the exponential distribution, times beta, times the mean
// time of a load, is r or more. So the more readers a key has, the earlier one of them loads it, and seldom
// two do. A. Vattani, F. Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache Stampede Prevention",
// VLDB 2015.
//
// The methods of a nil Early do nothing. It may be used concurrently.
type Early struct {
	throttle.Set // the keys whose early loads have failed

	// Draw returns a number from the exponential distribution with the mean 1. If it is nil, that is
	// rand.ExpFloat64. Set it before the first use.
	Draw func() float64
	// Lock is how long a node at most has to load for all nodes. If it is zero, each node loads.
	Lock time.Duration

	mean atomic.Int64 // of the loads, in nanoseconds; zero before the first
}

const (
	// meanWeight is the weight of the older loads in the mean, against 1 of the newest.
	meanWeight = 7
	// earlyMeans is how long before the end of the TTL the draws begin, in beta times the mean. An
	// earlier one would succeed once in e^20 reads, which is half a billion.
	earlyMeans = 20
	// The first and the longest pause after an early load that failed. The first is at least a mean load.
	firstEarlyPause = 100 * time.Millisecond
	lastEarlyPause  = time.Minute
	// lockMeans is how long a node has to load for the others, in mean loads.
	lockMeans = 10
	// aheadSuffix makes of a key the key of its lock.
	aheadSuffix = "_#EL#"
)

// Mean returns the weighted mean of the times that loads took. It is zero before the first.
func (e *Early) Mean() time.Duration {
	if e == nil {
		return 0
	}
	return time.Duration(e.mean.Load())
}

// noteLoad counts a load that has succeeded.
func (e *Early) noteLoad(took time.Duration) {
	if e == nil {
		return
	}
	took = max(took, 1)
	for {
		old := e.mean.Load()
		mean := int64(took)
		if old != 0 {
			mean = max(old+(mean-old)/(meanWeight+1), 1)
		}
		if e.mean.CompareAndSwap(old, mean) {
			return
		}
	}
}

// zone returns how long before the end of a TTL the draws begin.
func (e *Early) zone(beta float64) time.Duration { return e.times(earlyMeans, beta) }

// times returns x·beta·mean.
func (e *Early) times(x, beta float64) time.Duration {
	d := x * beta * float64(e.Mean())
	if !(d > 0) { // also not a number
		return 0
	}
	return time.Duration(min(d, float64(math.MaxInt64/2)))
}

// draw returns how long before its end a value is due for a read that draws now.
func (e *Early) draw(beta float64) time.Duration {
	x := e.Draw
	if x == nil {
		x = rand.ExpFloat64
	}
	return e.times(x(), beta)
}

// due draws whether a read loads a value whose TTL ends in left. ahead is zero if it does not. Otherwise
// another copy of the key is new enough if it lives for longer than ahead: for longer than the draw, or
// twice as long as this one. The copies of one load differ by what their writes took.
func (p *Path) due(req *Request, key string, left time.Duration) (ahead time.Duration) {
	if req.Beta <= 0 || req.Source != nil && !req.Loads() || p.Early == nil {
		return 0
	}
	if left <= 0 || left > p.Early.zone(req.Beta) || p.Early.Holds(key) {
		return 0
	}
	if ahead = p.Early.draw(req.Beta); ahead < left {
		return 0
	}
	return min(ahead, 2*left)
}

// dueFromRemote draws whether what the remote has of rec is to be loaded. A value that the local level
// keeps is drawn for when it is read there.
func (p *Path) dueFromRemote(req *Request, rec *record.Record) time.Duration {
	got := &rec.Got
	if req.Beta <= 0 || p.useLocal(req) || rec.Ahead > 0 || got.Assumed || got.TTL <= 0 || record.IsPlaceholder(got.Data) {
		return 0
	}
	left := got.Bound()
	if left > p.LongestLifetimes(req.TTL).Remote/2 {
		return 0
	}
	return p.due(req, rec.Key, left)
}

// timed reports whether the lifetimes of what the remote has are of use.
func (p *Path) timed(req *Request) bool { return p.useLocal(req) || req.Beta > 0 && req.Loads() }

// lookForLocally returns what the local level has of rec, unless it is what rec is loaded in place of.
func (p *Path) lookForLocally(rec *record.Record) ([]byte, bool) {
	if rec.Ahead == 0 {
		return p.Local.Get(rec.Key)
	}
	lived, ok := p.Local.Lived(rec.Key)
	return lived.Data, ok && lived.Left > rec.Ahead
}

// endsTooSoon reports whether what the remote has of rec is as old as what rec is loaded in place of.
func endsTooSoon(rec *record.Record) bool {
	if rec.Ahead == 0 {
		return false
	}
	left := rec.Got.Bound()
	return rec.Got.Assumed || left != record.NoBound && left <= rec.Ahead
}

// mayLoadAhead returns those of recs that are loaded now, and ends the others. A record that would be
// loaded before its value expires is not loaded if the remote has given no answer, or if another node
// loads it: its value is still good.
func (p *Path) mayLoadAhead(ctx context.Context, req *Request, recs []*record.Record) []*record.Record {
	if !slices.ContainsFunc(recs, func(rec *record.Record) bool { return rec.Ahead > 0 }) || !p.toRemote(req) {
		return recs
	}
	loadable := make([]*record.Record, 0, len(recs))
	for _, rec := range recs {
		if rec.Ahead == 0 || p.leads(ctx, rec) {
			loadable = append(loadable, rec)
			continue
		}
		if rec.Got.There { // for readers that have joined
			_ = p.accept(req, rec, record.Read(rec.Got.Data, record.Remote)) // otherwise they read on
			rec.Err = nil
		}
		req.Resolve(rec)
	}
	return loadable
}

// leads reports whether this node loads rec, whose value has not expired.
func (p *Path) leads(ctx context.Context, rec *record.Record) bool {
	if rec.Silent != nil || rec.Got.Err != nil {
		p.holdAhead([]*record.Record{rec})
		return false
	}
	if p.Early == nil || p.Early.Lock <= 0 {
		return true
	}
	lock := min(p.Early.Lock, max(lockMeans*p.Early.Mean(), firstEarlyPause))
	won, err := p.Remote.Lock(ctx, rec.Key+aheadSuffix, p.Observe.Name(), lock)
	if err != nil { // logged and counted
		p.holdAhead([]*record.Record{rec})
	}
	return won
}

// holdAhead notes that early loads of recs have failed.
func (p *Path) holdAhead(recs []*record.Record) {
	if p.Early == nil {
		return
	}
	for _, rec := range recs {
		if rec.Ahead > 0 {
			p.Early.Hold(rec.Key, max(p.Early.Mean(), firstEarlyPause), lastEarlyPause)
		}
	}
}

// forgetHolds notes that loads of recs have succeeded.
func (p *Path) forgetHolds(recs []*record.Record) {
	for _, rec := range recs {
		if p.Failures != nil {
			p.Failures.Forget(rec.Key)
		}
		if p.Early != nil {
			p.Early.Forget(rec.Key)
		}
	}
}

// changedAhead reports whether an early load has found another value than the levels have. Other nodes may
// have the older one until its TTL ends, so they are told.
func (p *Path) changedAhead(rec *record.Record) bool {
	return rec.Ahead > 0 && !p.Local.Holds(rec.Key, rec.Data) && !(rec.Got.There && bytes.Equal(rec.Got.Data, rec.Data))
}
