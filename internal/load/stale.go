package load

import (
	"errors"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/internal/throttle"
	"github.com/mgtv-tech/jetcache-go/local"
)

// Stale says for how long beyond its TTL a value may be used. The zero Stale: never.
type Stale struct {
	OnError time.Duration // if its load fails
	While   time.Duration // while it is loaded in the background
	// If reports for which errors of a load the value is used. If it is nil, for all.
	If func(err error) bool
}

// keep returns how long the local level keeps a value beyond its TTL.
func (s *Stale) keep() time.Duration { return max(s.OnError, s.While, 0) }

// Failures remembers the keys whose loads have failed, so that they are not tried again at once while
// there are stale values.
type Failures struct {
	throttle.Set
	Pause time.Duration // about how long a key is not tried again
}

// AtHand is what the local level has of a key, which may be stale or in doubt.
type AtHand struct {
	Out     record.Outcome
	Left    time.Duration // what is left of its TTL; below zero, how long it has been stale
	Age     time.Duration // since it was loaded, as far as that is known
	Doubted bool          // a newer value may have been missed, and the remote does not answer
	// Ahead is the Ahead of the record of a load in the background: UseOf sets it.
	Ahead time.Duration
}

// AtHand returns what the local level has of key. A value in doubt counts only while the remote does not
// answer: then nobody knows better.
func (p *Path) AtHand(key string) (AtHand, bool) {
	if !p.Local.KeepsStale() {
		return AtHand{}, false
	}
	lived, ok := p.Local.Lived(key)
	doubted := false
	if !ok && p.Remote.Exists() && p.Remote.Quiet() {
		lived, ok = p.Local.DoubtedLived(key)
		doubted = ok
	}
	if !ok {
		return AtHand{}, false
	}
	h := AtHand{Out: record.Read(lived.Data, record.Local), Left: lived.Left, Age: lived.Age, Doubted: doubted}
	h.Out.Stale = lived.Left <= 0
	return h, true
}

// Use says what a read does with a value at hand.
type Use uint8

// The uses of a value at hand.
const (
	Unused        Use = iota // the levels are read, and the value is loaded
	Answer                   // it is the answer
	AnswerAndLoad            // it is the answer, and the value is loaded in the background
	Fallback                 // the value is loaded; if that fails or takes too long, this one is the answer
)

// UseOf returns what a read does with a value at hand before the remote is asked. A read without a loader
// uses only what is fresh.
func (p *Path) UseOf(req *Request, key string, h *AtHand) Use {
	stale := -h.Left
	switch {
	case h.Doubted:
		if h.Left > 0 || within(stale, req.Stale.OnError) {
			return Fallback
		}
	case h.Left > 0:
		if h.Out.Kind == record.Value {
			h.Ahead = p.due(req, key, h.Left)
		}
		if h.Ahead > 0 {
			return AnswerAndLoad
		}
		return Answer
	case within(stale, req.Stale.keep()) && p.Failures.Holds(key):
		return Answer
	case within(stale, req.Stale.While):
		return AnswerAndLoad
	case within(stale, req.Stale.OnError):
		return Fallback
	}
	return Unused
}

// within reports whether a value that is stale for so long may be used if limit allows it; zero allows none.
func within(stale, limit time.Duration) bool { return limit > 0 && stale <= limit }

// FallbackFor returns the value that a read returns in place of the error of its load.
func (p *Path) FallbackFor(req *Request, key string, err error) (AtHand, bool) {
	limit := req.Stale.OnError
	switch {
	case req.SkipLocal, p.Down == FailFast && errors.Is(err, level.ErrUnavailable):
		return AtHand{}, false
	case p.Down == StaleOnly && errors.Is(err, level.ErrUnavailable): // there was no load
		limit = req.Stale.keep()
	case limit <= 0 || !req.Stale.covers(err):
		return AtHand{}, false
	}
	h, ok := p.AtHand(key)
	return h, ok && -h.Left <= limit
}

// covers reports whether err is that of a load for which a stale value may be used.
func (s *Stale) covers(err error) bool {
	return !errors.Is(err, flight.ErrCycle) && (s.If == nil || s.If(err))
}

// noteFailure notes that the load of recs has failed with err.
func (p *Path) noteFailure(req *Request, recs []*record.Record, err error) {
	if p.Failures == nil || req.Stale.keep() == 0 || !req.Stale.covers(err) {
		return
	}
	for _, rec := range recs {
		p.Failures.Hold(rec.Key, p.Failures.Pause, p.Failures.Pause)
	}
}

// localLife returns how long the local level keeps what it is given of rec, if it is fresh for bound.
func (p *Path) localLife(req *Request, data []byte, bound time.Duration) local.Life {
	life := local.Life{TTL: bound}
	if !record.IsPlaceholder(data) { // that a record does not exist is never used beyond its TTL
		life.Stale = req.Stale.keep()
		if req.Beta > 0 { // the store does not let it be more than half of the life
			life.Early = p.Early.zone(req.Beta)
		}
	}
	return life
}
