package load

import (
	"context"
	"errors"
	"fmt"

	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// ErrTooLarge is the error of a value that was not stored because of its size.
var ErrTooLarge = errors.New("cache: the value is too large to be stored")

// SizeLimit bounds the stored form of values. A nil SizeLimit has no bound. Make one with NewSizeLimit.
type SizeLimit struct {
	bytes int
	line  *observe.Line // of loaded values that are not stored
}

// NewSizeLimit returns a limit of so many bytes.
func NewSizeLimit(bytes int) *SizeLimit { return &SizeLimit{bytes, observe.NewLine()} }

// refuses reports whether data must not be stored.
func (s *SizeLimit) refuses(data []byte) bool { return s != nil && len(data) > s.bytes }

// CheckSize counts the value of key, and returns an error, if data is too large to be stored.
func (p *Path) CheckSize(key string, data []byte) error {
	if !p.Sizes.refuses(data) {
		return nil
	}
	p.Observe.ValueTooLarge()
	return fmt.Errorf("%w: %s has %d bytes, and WithMaxValueBytes allows %d", ErrTooLarge, quote.Key(key), len(data), p.Sizes.bytes)
}

// dropTooLarge ends recs, whose values were loaded and are too large to be stored. It removes what the
// levels have of their keys, which is older, unless the keys were changed since the load began.
func (p *Path) dropTooLarge(ctx context.Context, req *Request, recs []*record.Record) {
	if len(recs) == 0 {
		return
	}
	drop := make([]*record.Record, 0, len(recs))
	for _, rec := range recs {
		if err := p.CheckSize(rec.Key, rec.Out.Data); err != nil {
			p.Observe.Warn(p.Sizes.line, "%v; its callers get it, and each read loads it", err)
		}
		if rec.If != record.IfAbsent { // what is there would have stayed
			drop = append(drop, rec)
		}
	}
	var lanes []*record.Record
	defer func() { // also if the remote panics
		for _, rec := range lanes {
			rec.Note.EndFill()
		}
		for _, rec := range recs {
			rec.Stored = record.Refused // Remove says what it has removed
			p.tellOutcome(req, rec)
			req.Resolve(rec)
		}
	}()
	if p.toRemote(req) {
		reached, silent := divide(drop)
		if len(silent) > 0 {
			p.Fence.GiveUp(silent, silent[0].Silent)
		}
		for _, rec := range reached {
			if rec.Note.BeginFill() { // otherwise another write is under way, or has come
				lanes = append(lanes, rec)
			}
		}
		if err := p.removeLanes(ctx, lanes); err != nil {
			req.Trouble("deleting", len(lanes), err)
		}
	}
	p.dropLocally(drop)
}

// dropLocally removes the keys of recs from the local level, and tells of those that other nodes may have.
func (p *Path) dropLocally(recs []*record.Record) {
	var dropped []string
	for _, rec := range recs {
		mayBeElsewhere := !answered(rec) || rec.Got.There
		if rec.Note.FillLoaded(func() { p.Local.Del(rec.Key) }) && mayBeElsewhere {
			dropped = append(dropped, rec.Key)
		}
	}
	if len(dropped) > 0 && p.Dropped != nil {
		p.Dropped(dropped)
	}
}

// removeLanes removes the keys of recs, whose lanes are held, from the remote. The callers may have left.
func (p *Path) removeLanes(ctx context.Context, recs []*record.Record) error {
	if len(recs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return p.Fence.Remove(ctx, recs)
}
