package level

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// ErrSilent is the error of a read that was not waited for, or not sent, because the remote does not
// answer. The local level has copies of the keys, which may be out of date.
var ErrSilent = errors.New("cache: the remote does not answer")

// checkTimeout is how long a check may go on when nobody waits for it any more.
const checkTimeout = 5 * time.Second

// Check is a read of records of which the local level has copies that are in doubt. The caller need not
// wait for its end.
type Check struct {
	silence *silence
	recs    []*record.Record
	got     []*record.Record // what the remote answers, in the order of recs
	err     error            // of the read; set before ended is closed
	ended   chan struct{}

	mu   sync.Mutex
	over bool // guarded by mu: the read has ended
	open bool // guarded by mu: it is among those of silence.open
	late func(got []*record.Record)
}

// Check begins to read recs with their remaining lifetimes. It returns nil if the remote does not
// answer, and another check is to find out when it does. The end of ctx does not end the read.
func (r *Remote) Check(ctx context.Context, recs []*record.Record) *Check {
	probe, ok := r.silence.enter()
	if !ok {
		return nil
	}
	c := &Check{silence: &r.silence, recs: recs, got: make([]*record.Record, len(recs)), ended: make(chan struct{}), open: probe}
	for i, rec := range recs {
		c.got[i] = &record.Record{Key: rec.Key} // recs are the caller's
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	r.calls.start(func() {
		defer cancel()
		returned := false
		c.err = flight.ErrGoexit // until the read returns
		defer func() {
			if !returned { // what the records have is no answer
				r.failed(ctx, "get", c.err)
				for _, rec := range c.got {
					rec.Got, rec.Silent = record.Got{Err: c.err}, c.err
				}
			}
			c.end()
		}()
		c.err = caught(ctx, func(ctx context.Context) (struct{}, error) {
			err := r.Get(ctx, c.got, true)
			returned = true
			return struct{}{}, err
		}).err
	})
	return c
}

// end ends the read.
func (c *Check) end() {
	c.mu.Lock()
	c.over = true
	open, late := c.open, c.late
	c.mu.Unlock()
	// The read itself has told what it heard, but GiveUp may have come between.
	c.silence.quiet.Store(!slices.ContainsFunc(c.got, func(rec *record.Record) bool { return rec.Silent == nil }))
	if open {
		c.silence.leave()
	}
	if late != nil {
		late(c.got)
	}
	close(c.ended)
}

// Wait waits for the end of the read, until ctx ends, and for bound at most. It reports whether the
// read has ended. If it has, the Got of each record that has no result yet is set.
func (c *Check) Wait(ctx context.Context, bound time.Duration) bool {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
	for i, rec := range c.recs {
		if rec.Out.Kind == record.Miss {
			rec.Got, rec.Silent = c.got[i].Got, c.got[i].Silent
		}
	}
	return true
}

// Err returns the error of the read, nil if it had none. Call it after Wait has returned true.
func (c *Check) Err() error { return c.err }

// GiveUp notes that the remote has not answered in time: from now on, and until it answers, one check
// at a time is made. It has late called with what the remote answers in the end, with the keys of all
// records. It reports false, and does nothing, if the read has ended.
func (c *Check) GiveUp(late func(got []*record.Record)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.late = late
	if !c.open {
		c.open = true
		c.silence.open.Add(1)
	}
	c.silence.quiet.Store(true)
	return true
}
