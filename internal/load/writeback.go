package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// writeBack stores what was loaded in both levels, by one call of the remote, tells of it, and ends
// recs. It does not store the value of a key that was changed meanwhile, nor one that is too large.
func (p *Path) writeBack(ctx context.Context, req *Request, recs []*record.Record) {
	keep := make([]*record.Record, 0, len(recs))
	var tooLarge []*record.Record
	life := p.Lifetimes(req.TTL)
	for i, rec := range recs {
		if i > 0 {
			life = p.NextLifetimes(life, req.TTL)
		}
		switch {
		case p.prepare(req, rec, life):
			keep = append(keep, rec)
		case p.Sizes.refuses(rec.Out.Data):
			tooLarge = append(tooLarge, rec)
		default:
			req.Resolve(rec)
		}
	}
	p.dropTooLarge(ctx, req, tooLarge)
	var lanes []*record.Record
	defer func() { // also if the remote panics
		for _, rec := range lanes {
			rec.Note.EndFill()
		}
		for _, rec := range keep { // after the lanes: a record's Note ends when it is resolved
			p.tellOutcome(req, rec)
			req.Resolve(rec)
		}
	}()
	began := time.Now()
	if p.toRemote(req) {
		reached, silent := divide(keep)
		reportUnsent(req, silent)
		lanes = p.enterLanes(reached)
		p.fillRemote(ctx, req, lanes)
		p.shorten(keep)
	}
	told := make([]*record.Record, 0, len(keep))
	for _, rec := range keep {
		if p.fillLocal(req, rec, began) {
			told = append(told, rec)
		}
	}
	if len(told) > 0 {
		p.Tell(req.Event, told)
	}
}

// tellOutcome says in the Out of rec how it was stored.
func (p *Path) tellOutcome(req *Request, rec *record.Record) {
	out := &rec.Out
	out.Took = rec.Took
	if p.toRemote(req) {
		out.Stored, out.Left = rec.Stored == record.Stored, rec.Life.Remote
	} else {
		out.Stored, out.Left = rec.Kept, max(rec.Life.Local, 0)
	}
	if !out.Stored {
		out.Left = 0
	}
}

// errUnsent is why a value is not in the remote that was not sent.
var errUnsent = errors.New("not sent to the remote, which gave no answer before")

// reportUnsent reports that recs are not stored in the remote. The local level may keep them, except
// for those with a condition: only the remote knows whether it holds.
func reportUnsent(req *Request, recs []*record.Record) {
	for _, rec := range recs {
		rec.Stored, rec.StoreErr = record.Failed, fmt.Errorf("%w: %w", errUnsent, rec.Silent)
		if rec.If != record.Always {
			rec.Stored = record.NotDue
		}
	}
	if len(recs) > 0 {
		req.Trouble("writing", len(recs), recs[0].StoreErr)
	}
}

// prepare sets what is to be stored of a loaded record, which keeps a value for life. It reports whether
// it can be stored.
func (p *Path) prepare(req *Request, rec *record.Record, life record.Lifetimes) bool {
	if rec.Err = nil; rec.Out.Kind == record.NotFound {
		rec.Out = record.Outcome{Kind: record.NotFound, From: record.Loader}
		rec.Data, rec.Life = record.Placeholder, p.PlaceholderLifetimes(req.TTL)
	} else {
		data, err := req.Encode(rec)
		if err != nil {
			rec.Out, rec.Err = record.Outcome{}, err
			return false
		}
		rec.Out = record.Outcome{Data: data, Kind: record.Value, From: record.Loader}
		// The caller gets it. Stored, "*" would be read as not found.
		if record.IsPlaceholder(data) || p.Sizes.refuses(data) {
			return false
		}
		rec.Data, rec.Life = data, life
	}
	rec.Changed = p.Differs != nil && p.Differs(rec.Key, rec.Data) || p.changedAhead(rec)
	return true
}

// enterLanes takes the write locks (lanes) that are free, and returns the records of their keys. It
// never waits: a fill is not worth it, and two batches that each hold a lane that the other needs
// would wait for each other.
func (p *Path) enterLanes(recs []*record.Record) (entered []*record.Record) {
	entered = make([]*record.Record, 0, len(recs))
	for _, rec := range recs {
		if rec.Note.BeginFill() {
			entered = append(entered, rec)
		} else {
			p.Fence.Pass(rec)
		}
	}
	return entered
}

// fillRemote stores recs in the remote. If a change overtook one of them meanwhile, it removes the
// key again: what it stored may have replaced the newer value.
func (p *Path) fillRemote(ctx context.Context, req *Request, recs []*record.Record) {
	if len(recs) == 0 {
		return
	}
	if err := p.Fence.Fill(ctx, recs); err != nil {
		req.Trouble("writing", len(recs), err)
	}
	var undo []*record.Record
	for _, rec := range recs {
		if rec.Note.Overtaken() && (rec.Stored == record.Stored || rec.Stored == record.Failed) {
			undo = append(undo, rec)
		}
	}
	if len(undo) == 0 {
		return
	}
	// The callers may have left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	_ = p.Fence.Remove(ctx, undo) // logged and counted; with fences it is tried again
	for _, rec := range undo {
		rec.Stored = record.Refused
	}
}

// undoTimeout bounds the removal of what an overtaken load has stored.
const undoTimeout = 5 * time.Second

// fillLocal stores a loaded record in the local level, unless the remote has refused it or a
// change has overtaken the load. It reports whether the value was kept: other nodes are told of it
// then.
func (p *Path) fillLocal(req *Request, rec *record.Record, began time.Time) (kept bool) {
	if rec.Stored == record.Refused || rec.Stored == record.NotDue {
		p.dropStale(rec)
		return false
	}
	rec.Note.FillLoaded(func() { kept = p.StoreLocally(req, rec, began) })
	if rec.Kept = kept; !kept {
		p.dropStale(rec)
	}
	return kept
}

// dropStale removes what the local level has of rec beyond its TTL: a load has ended, and has another value
// that was not stored.
func (p *Path) dropStale(rec *record.Record) {
	if !p.Local.KeepsStale() {
		return
	}
	rec.Note.FillLoaded(func() {
		if lived, ok := p.Local.Life(rec.Key); ok && lived.Left <= 0 {
			p.Local.Del(rec.Key)
		}
	})
}

// StoreLocally stores the Data of rec in the local level, after the remote was written by a call
// that began at began. With SkipLocal it removes what the local level has, which is older. It
// reports false if the item's condition does not hold. It checks the condition only if the remote
// is not written: otherwise the remote has checked it.
func (p *Path) StoreLocally(req *Request, rec *record.Record, began time.Time) bool {
	if rec.If != record.Always && !p.toRemote(req) {
		if _, there := p.Local.Get(rec.Key); there != (rec.If == record.IfPresent) {
			return false
		}
	}
	if req.SkipLocal {
		p.Local.Del(rec.Key)
	} else {
		p.Local.SetWithLife(rec.Key, rec.Data, p.localLife(req, rec.Data, rec.Life.Since(began).Local), rec.Phase)
	}
	return true
}
