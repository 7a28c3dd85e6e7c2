// Package load is the path of a read: look into the local level and the remote, decide who loads
// (package lease), note what must not change meanwhile (package fence), call the loader, write
// back, tell. Each step takes any number of keys, and is written once.
package load

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/lease"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// Path connects what a read goes through. Set its fields before the first use; then its methods
// may be called from any goroutine.
type Path struct {
	Local   *level.Local
	Remote  *level.Remote
	Fence   fence.Policy
	Lease   lease.Policy
	Observe *observe.Observer

	// Differs reports whether data is not what the local level has of key. The path calls it
	// before it writes a loaded value back. If it is nil, no value differs.
	Differs func(key string, data []byte) bool
	// Tell tells the event handler and the other nodes that recs were loaded and written back. The
	// event is an EventType.
	Tell func(event int, recs []*record.Record)

	// The lifetimes of values and of placeholders that have no TTL of their own. Up to Offset is
	// added to that of a placeholder.
	RemoteExpiry, NotFoundExpiry, Offset time.Duration
	// TTLJitter is the part of the TTL of a value, in [0, 1), of which a random part is taken off.
	TTLJitter float64
	// Sizes bounds the values. It is nil if there is no bound.
	Sizes *SizeLimit
	// Dropped is called with the keys of which loads have removed what the levels had, and other nodes
	// may have something. It may be nil.
	Dropped func(keys []string)
	// Failures are the keys that are not loaded again at once while there are stale values. It is nil if
	// no values are used beyond their TTLs.
	Failures *Failures
	// Early decides which values are loaded before they expire. If it is nil, none is.
	Early *Early
	// Slots bounds the loads. If it is nil, there is no bound.
	Slots *Slots
	// Down is what becomes of a key that the local level does not have while the remote is down.
	Down Down
	// DoubtTimeout is how long a read waits for the remote if the local level has a copy in doubt.
	DoubtTimeout time.Duration
}

// Source is where the values of a call come from, and where they go. The path calls it from one
// goroutine at a time.
type Source interface {
	// Loads reports whether there is a loader.
	Loads() bool
	// Load calls the loader for recs. It returns a function that sets the Kind of each one's Out to
	// Value or NotFound, and keeps the values for Encode. If it returns an error, nothing is written
	// back, and the function may be nil. The path may have given up the load meanwhile. It does not
	// call the function then, so Load itself must not change anything.
	Load(ctx context.Context, recs []*record.Record) (keep func(), err error)
	// Failed ends recs, whose load has failed with err: it sets the Err of each and resolves it. The
	// path does not call Resolve for them.
	Failed(recs []*record.Record, err error)
	// Encode returns the stored form of what Load kept for rec.
	Encode(rec *record.Record) ([]byte, error)
	// Accept takes what a level has of rec. It returns an error if that cannot be decoded; then
	// rec is loaded.
	Accept(rec *record.Record, out record.Outcome) error
	// Resolve is called once for each record that has its result, except after Failed. The path
	// does not use the record's Note any more.
	Resolve(rec *record.Record)
	// Trouble receives the error of a read or a write of the remote, for this number of keys. The
	// error has been logged.
	Trouble(doing string, keys int, err error)
}

// Request is one call of the path.
type Request struct {
	Source
	Event     int           // the EventType of what is loaded
	TTL       time.Duration // zero: the default; below zero: the remote is not written
	SkipLocal bool          // the local level is neither read nor filled
	Timeout   time.Duration // of the loader; zero or less: none
	Stale     Stale
	Beta      float64 // see Early; zero: nothing is loaded before it expires
}

// useLocal reports whether the local level is read and filled.
func (p *Path) useLocal(req *Request) bool { return p.Local.Exists() && !req.SkipLocal }

// Run ends each of recs: by what a level has, or by a load. It changes the slice recs.
func (p *Path) Run(ctx context.Context, req *Request, recs []*record.Record) {
	if recs = p.Look(ctx, req, recs); len(recs) > 0 {
		p.Load(ctx, req, recs)
	}
}

// Look ends those of recs that a level has. It returns the others if there is a loader, and ends
// them if there is none. The result is in the memory of recs.
func (p *Path) Look(ctx context.Context, req *Request, recs []*record.Record) (rest []*record.Record) {
	if p.useLocal(req) {
		recs = p.lookLocally(req, recs)
	}
	if p.Remote.Exists() && len(recs) > 0 {
		recs = p.Read(ctx, req, recs)
		for range recs {
			p.Observe.RemoteMiss()
		}
	}
	for range recs {
		p.Observe.Miss()
	}
	if req.Loads() {
		return recs
	}
	for _, rec := range recs {
		req.Resolve(rec)
	}
	return nil
}

// lookLocally ends those of recs that the local level has: an earlier flight may have stored them
// since the caller looked. It returns the others.
func (p *Path) lookLocally(req *Request, recs []*record.Record) (rest []*record.Record) {
	rest = recs[:0]
	for _, rec := range recs {
		if !rec.Reload {
			if data, ok := p.lookForLocally(rec); ok && p.accept(req, rec, record.Read(data, record.Local)) {
				p.Observe.LocalHit()
				req.Resolve(rec)
				continue
			}
		}
		p.Observe.LocalMiss()
		rest = append(rest, rec)
	}
	return rest
}

// accept gives rec what a level has of it. It reports false if that cannot be decoded.
func (p *Path) accept(req *Request, rec *record.Record, out record.Outcome) bool {
	if rec.Err = req.Accept(rec, out); rec.Err != nil {
		return false
	}
	rec.Out = out
	return true
}

// Read ends those of recs that the remote has, in one call, and fills the local level with them.
// If the remote does not answer for a key, Read takes what the local level has in doubt: see ask. It returns
// the others, in the memory of recs. It counts hits; the caller counts misses. A record with Reload
// is not read. The remote is not asked for a record with Silent: an earlier read of the same call had no
// answer.
func (p *Path) Read(ctx context.Context, req *Request, recs []*record.Record) (rest []*record.Record) {
	ask, silent := divide(readable(recs))
	for _, rec := range silent {
		rec.Got = record.Got{Err: rec.Silent}
	}
	if len(ask) > 0 {
		trusted := p.Fence.Trusted(ask)
		p.ask(ctx, req, trusted, p.doubted(req, trusted))
		p.reportDistrusted(req, ask, len(ask)-len(trusted))
	}
	rest = recs[:0]
	for _, rec := range recs {
		switch {
		case hasResult(rec):
		case rec.Reload || !p.readOne(req, rec):
			rest = append(rest, rec)
		default:
			req.Resolve(rec)
		}
	}
	return rest
}

// reportDistrusted reports the n records of ask that the remote was not asked for.
func (p *Path) reportDistrusted(req *Request, ask []*record.Record, n int) {
	for _, rec := range ask {
		if n > 0 && errors.Is(rec.Got.Err, fence.ErrUncertain) {
			req.Trouble("reading", n, rec.Got.Err)
			return
		}
	}
}

// readable returns those of recs that do not have Reload.
func readable(recs []*record.Record) []*record.Record {
	reload := func(rec *record.Record) bool { return rec.Reload }
	if !slices.ContainsFunc(recs, reload) {
		return recs
	}
	return slices.DeleteFunc(slices.Clone(recs), reload)
}

// readOne takes what the remote has of rec, or what the local level has in doubt. It reports
// whether rec has its result.
func (p *Path) readOne(req *Request, rec *record.Record) bool {
	if got := &rec.Got; got.There && !endsTooSoon(rec) && p.accept(req, rec, record.Read(got.Data, record.Remote)) {
		rec.Out.Elsewhere = rec.Elsewhere
		if left := got.Bound(); !got.Assumed && left > 0 {
			rec.Out.Left = left
		}
		rec.Due = p.dueFromRemote(req, rec)
		p.Observe.RemoteHit()
		if p.useLocal(req) {
			p.fillRead(req, rec)
		}
		return true
	} else if got.There || !p.useLocal(req) {
		return false
	}
	data, ok := p.fallbackOrDrop(rec)
	if !ok || !p.accept(req, rec, record.Read(data, record.Local)) {
		return false
	}
	p.Observe.RemoteMiss()
	p.Observe.LocalHit()
	return true
}

// fillRead stores what the remote has of rec in the local level. A value that is too large may come from a
// node that has no bound.
func (p *Path) fillRead(req *Request, rec *record.Record) {
	got := &rec.Got
	rec.Note.FillRead(func() {
		if p.Sizes.refuses(got.Data) {
			p.Local.Del(rec.Key)
			return
		}
		life := p.localLife(req, got.Data, got.Bound())
		if full := p.LongestLifetimes(req.TTL).Remote; !got.Assumed && full > got.TTL && got.TTL > 0 {
			life.Loaded = got.Asked.Add(got.TTL - full)
		}
		p.Local.SetWithLife(rec.Key, got.Data, life, got.Phase)
	})
}

// fallbackOrDrop returns the local entry of a key that is in doubt, if the remote did not answer. If
// the remote did answer, it does not have the key, and fallbackOrDrop drops the entry.
func (p *Path) fallbackOrDrop(rec *record.Record) (data []byte, ok bool) {
	data, ok = p.Local.Doubted(rec.Key)
	if ok && rec.Got.Err == nil {
		rec.Note.FillRead(func() { p.Local.Del(rec.Key) })
		return nil, false
	}
	return data, ok
}

// Load ends recs by a load: on this node or, with leases, on another one. It may change the slice
// recs.
func (p *Path) Load(ctx context.Context, req *Request, recs []*record.Record) {
	if recs = p.mayLoadAhead(ctx, req, recs); len(recs) == 0 {
		return
	}
	var policy lease.Policy = lease.Off{}
	if p.toRemote(req) {
		policy = p.Lease
	}
	for _, rec := range recs { // an earlier load may have left them
		rec.Token, rec.Lease, rec.LeaseWanted = record.Token{}, "", false
	}
	if recs = p.mayLoad(req, recs); len(recs) == 0 {
		return
	}
	policy.Lead(ctx, recs, &steps{p, req})
}

// divide returns the records that the remote is still called for, and those for which it gave no answer
// before.
func divide(recs []*record.Record) (reached, silent []*record.Record) {
	if !slices.ContainsFunc(recs, func(rec *record.Record) bool { return rec.Silent != nil }) {
		return recs, nil
	}
	for _, rec := range recs {
		if rec.Silent == nil {
			reached = append(reached, rec)
		} else {
			silent = append(silent, rec)
		}
	}
	return reached, silent
}

// toRemote reports whether the values of req are for the remote.
func (p *Path) toRemote(req *Request) bool { return p.Remote.Exists() && req.TTL >= 0 }

// steps are what a lease decides about.
type steps struct {
	*Path
	req *Request
}

func (s *steps) Load(ctx context.Context, recs []*record.Record) {
	if s.Call(ctx, s.req, recs) == nil {
		s.writeBack(ctx, s.req, recs)
	}
}

func (s *steps) Read(ctx context.Context, recs []*record.Record) (rest []*record.Record) {
	for _, rec := range recs {
		rec.Elsewhere = true
	}
	return s.Path.Read(ctx, s.req, recs)
}

func (s *steps) Fail(rec *record.Record, err error) {
	rec.Err = err
	s.req.Resolve(rec)
}
