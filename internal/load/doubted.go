package load

import (
	"context"
	"math"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// doubted returns those of recs of which the local level has copies that are in doubt.
func (p *Path) doubted(req *Request, recs []*record.Record) (doubted []*record.Record) {
	if !p.Local.Doubts.Any() || !p.useLocal(req) {
		return nil
	}
	for _, rec := range recs {
		if _, there := p.Local.Doubted(rec.Key); there {
			doubted = append(doubted, rec)
		}
	}
	return doubted
}

// ask reads recs from the remote, in one call, and sets the Got of each.
//
// The remote also says whether the local copies of doubted, which are some of recs, are out of date. If
// it does not say so within DoubtTimeout, or if an earlier call for another read has got no answer
// yet, ask ends these records with their copies. The others have no copies: for them ask waits for
// the answer.
func (p *Path) ask(ctx context.Context, req *Request, recs, doubted []*record.Record) {
	if len(doubted) == 0 {
		p.get(ctx, req, recs)
		return
	}
	check := p.Remote.Check(ctx, recs)
	if check != nil && (check.Wait(ctx, p.DoubtTimeout) || !p.giveUp(ctx, req, check, doubted) && check.Wait(ctx, math.MaxInt64)) {
		p.report(req, len(recs), check.Err())
		return
	}
	p.report(req, len(doubted), level.ErrSilent)
	for _, rec := range doubted {
		rec.Got = record.Got{Err: level.ErrSilent}
		if p.readOne(req, rec) {
			req.Resolve(rec)
		}
	}
	left := make([]*record.Record, 0, len(recs))
	for _, rec := range recs {
		if !hasResult(rec) {
			left = append(left, rec)
		}
	}
	switch {
	case check == nil:
		p.get(ctx, req, left)
	case len(left) == 0:
	case check.Wait(ctx, math.MaxInt64):
		p.report(req, len(left), check.Err())
	default: // ctx has ended
		for _, rec := range left {
			rec.Got, rec.Silent = record.Got{Err: ctx.Err()}, ctx.Err()
		}
	}
}

// get reads recs from the remote.
func (p *Path) get(ctx context.Context, req *Request, recs []*record.Record) {
	if len(recs) > 0 {
		p.report(req, len(recs), p.Remote.Get(ctx, recs, p.timed(req)))
	}
}

// report reports the error of a read of n keys, if there is one.
func (p *Path) report(req *Request, n int, err error) {
	if err != nil {
		req.Trouble("reading", n, err)
	}
}

// hasResult reports whether ask has ended rec.
func hasResult(rec *record.Record) bool { return rec.Out.Kind != record.Miss }

// giveUp stops waiting for a check. If it is answered later, that replaces the local copies of
// doubted, or removes those whose keys are gone, as far as the fill rule allows. giveUp reports false
// if the check has just ended.
func (p *Path) giveUp(ctx context.Context, req *Request, check *level.Check, doubted []*record.Record) bool {
	if ctx.Err() != nil { // the callers have left, which says nothing of the remote
		return true
	}
	notes := make(map[string]flight.Note[record.Outcome], len(doubted))
	for _, rec := range doubted {
		notes[rec.Key] = rec.Note.Hold()
	}
	release := func() {
		for _, note := range notes {
			note.Release()
		}
	}
	given := check.GiveUp(func(got []*record.Record) {
		defer release()
		for _, answer := range got {
			note, inDoubt := notes[answer.Key]
			if !inDoubt {
				continue
			}
			if rec := (&record.Record{Key: answer.Key, Got: answer.Got, Note: note}); answer.Got.There {
				p.fillRead(req, rec)
			} else {
				p.fallbackOrDrop(rec)
			}
		}
	})
	if !given {
		release()
	}
	return given
}
