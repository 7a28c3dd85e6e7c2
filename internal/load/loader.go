package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// ErrTimeout is the error of a load whose loader did not return in time.
var ErrTimeout = errors.New("cache: the load has taken too long")

// Slots bounds how many loads run at a time. The load of a batch is one load. Make one with NewSlots.
//
// A loader may read other keys, and so wait for their loads. The loads that it leads use its slot. A load
// that waits for a slot, and that such a loader waits for, goes on without one. Otherwise loaders could
// wait for ever, each for a load that waits for the slot of one of them.
type Slots struct{ free *semaphore.Weighted }

// NewSlots returns n free slots.
func NewSlots(n int) *Slots { return &Slots{semaphore.NewWeighted(int64(n))} }

type slotKey struct{}

// enter waits for a slot until ctx ends. The caller calls leave when the loader has returned.
func (s *Slots) enter(ctx context.Context) (inside context.Context, leave func(), err error) {
	if s == nil || ctx.Value(slotKey{}) == s {
		return ctx, func() {}, ctx.Err()
	}
	inside = context.WithValue(ctx, slotKey{}, s)
	if ctx.Err() == nil && s.free.TryAcquire(1) {
		return inside, func() { s.free.Release(1) }, nil
	}
	queue, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-flight.Wanted(ctx):
			stop()
		case <-queue.Done():
		}
	}()
	switch err := s.free.Acquire(queue, 1); {
	case err == nil:
		return inside, func() { s.free.Release(1) }, nil
	case ctx.Err() == nil: // it is wanted
		return inside, func() {}, nil
	default:
		return ctx, nil, fmt.Errorf("waiting for other loads to end: %w", ctx.Err())
	}
}

// slot is the place of one load among Slots.
type slot struct {
	leave func()
	used  bool // the loader has it, and leaves it
}

func (s *slot) leaveUnused() {
	if !s.used {
		s.leave()
	}
}

// WithoutSlot returns ctx for a load that does not use the slot of the loader with this ctx, because it may
// go on when that loader has returned.
func WithoutSlot(ctx context.Context) context.Context {
	if ctx.Value(slotKey{}) == nil {
		return ctx
	}
	return context.WithValue(ctx, slotKey{}, (*Slots)(nil))
}

// Call notes what must not change meanwhile, and calls the loader for recs. If the loader fails,
// Call ends recs with the error and returns it.
func (p *Path) Call(ctx context.Context, req *Request, recs []*record.Record) (err error) {
	inside, leave, err := p.Slots.enter(ctx)
	if err == nil {
		slot := &slot{leave: leave}
		defer slot.leaveUnused() // also if the remote panics
		phase := p.Local.Doubts.Now()
		for _, rec := range recs {
			rec.Phase = phase
		}
		if reached, _ := divide(recs); p.toRemote(req) && len(reached) > 0 {
			p.Fence.Begin(ctx, reached)
		}
		err = p.callLoader(inside, req, recs, slot)
	}
	if err != nil {
		if !flight.Left(ctx, err) {
			p.noteFailure(req, recs, err)
		}
		p.holdAhead(recs)
		req.Failed(recs, err)
	} else {
		p.forgetHolds(recs)
	}
	return err
}

// callLoader calls the loader and counts the query and its failure. It does not call the loader if
// ctx has ended: all callers have left then, and nobody wants the values any more. It leaves the slot
// when the loader has returned, which may be later.
func (p *Path) callLoader(ctx context.Context, req *Request, recs []*record.Record, slot *slot) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.Observe.Query()
	began := time.Now()
	err = flight.ErrGoexit // until the loader returns
	defer func() {
		took := time.Since(began)
		for _, rec := range recs {
			rec.Took = took
		}
		if err != nil {
			p.Observe.QueryFailed(err)
		} else {
			p.Early.noteLoad(took)
		}
	}()
	slot.used = true
	loader := func(ctx context.Context) (func(), error) {
		defer slot.leave()
		return req.Load(ctx, recs)
	}
	var keep func()
	if req.Timeout > 0 {
		keep, err = callWithin(ctx, req.Timeout, loader)
	} else {
		keep, err = flight.Run(ctx, loader)
	}
	if keep != nil {
		keep()
	}
	return err
}

// callWithin calls a loader, and gives it up after timeout, or when ctx ends.
func callWithin(ctx context.Context, timeout time.Duration, loader func(context.Context) (func(), error)) (keep func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	keep, err = flight.RunApart(ctx, loader)
	if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) {
		if errors.Is(err, ctx.Err()) && err.Error() == ctx.Err().Error() {
			return keep, fmt.Errorf("%w: more than %s", ErrTimeout, timeout)
		}
		return keep, fmt.Errorf("%w: more than %s: %v", ErrTimeout, timeout, err) //nolint:errorlint // its context error is not that of a caller
	}
	return keep, err
}
