// Package repair removes keys from the remote whose change has failed there.
//
// A change that fails may or may not have taken effect, or may do so later. So the key is removed in
// the background, as soon as the remote answers. Until then this node does not trust the remote for it.
package repair

import (
	"context"
	"errors"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// Policy is a fence.Policy whose failed changes are repaired. Make one with New.
type Policy struct {
	fence.Policy
	remote *level.Remote
	keys   *keys
}

// New returns inner with repairs of the keys in r, by the Remove of inner. They are made until Stop is
// called. removed is called with the removed keys, by one goroutine at a time.
func New(inner fence.Policy, r *level.Remote, o *observe.Observer, removed func(keys []string)) *Policy {
	return &Policy{inner, r, newKeys(o, inner.Remove, removed)}
}

// Fill stores loaded values, except those of keys that wait for their removal.
func (p *Policy) Fill(ctx context.Context, recs []*record.Record) error {
	send := recs
	var err error
	if p.keys.any() {
		send = make([]*record.Record, 0, len(recs))
		for _, rec := range recs {
			distrust := p.keys.distrusts(rec.Key)
			if distrust == nil || p.Refuses(rec) { // what is refused is not sent
				send = append(send, rec)
				continue
			}
			rec.Stored, rec.StoreErr, err = record.Failed, distrust, distrust
		}
		if len(send) == 0 {
			return err
		}
	}
	failed := p.Policy.Fill(ctx, send)
	if failed == nil {
		return err
	}
	if _, late := divide(send); len(late) > 0 {
		var left []*record.Record
		for _, recs := range late {
			left = append(left, recs...)
		}
		p.settle(left, p.keys.begin(left))
	}
	return errors.Join(err, failed)
}

// Change stores values that replace what is there. What fails is removed in the background.
func (p *Policy) Change(ctx context.Context, recs []*record.Record) error {
	return p.change(recs, func() error { return p.Policy.Change(ctx, recs) })
}

// Remove removes keys. What fails is tried again in the background.
func (p *Policy) Remove(ctx context.Context, recs []*record.Record) error {
	return p.change(recs, func() error { return p.Policy.Remove(ctx, recs) })
}

// Reopen removes keys and undoes Close. What fails is removed in the background.
func (p *Policy) Reopen(ctx context.Context, token string, recs []*record.Record) error {
	return p.change(recs, func() error { return p.Policy.Reopen(ctx, token, recs) })
}

var errNoAnswer = errors.New("cache: the remote panicked, so the key may or may not have been changed")

// change calls send, which changes recs in the remote. What fails is removed in the background.
func (p *Policy) change(recs []*record.Record, send func() error) error {
	if len(recs) == 0 {
		return nil
	}
	for _, rec := range recs {
		rec.Stored, rec.StoreErr = record.Failed, errNoAnswer // until send sets them
	}
	mark := p.keys.begin(recs)
	defer func() { p.settle(recs, mark) }() // also if the remote panics
	return send()
}

// settle ends the change of recs, which began with mark. The change of a key whose call goes on ends
// when the call does: only then can its removal be the last word.
func (p *Policy) settle(recs []*record.Record, mark uint64) {
	ended, late := divide(recs)
	p.keys.end(ended, mark)
	for call, left := range late {
		for i, rec := range left { // the caller's
			left[i] = &record.Record{Key: rec.Key, StoreErr: rec.StoreErr}
		}
		p.keys.add(left, left[0].StoreErr)
		p.remote.Later(func() {
			<-call
			p.keys.end(left, mark)
		})
	}
}

// divide returns those of recs whose calls have ended, and the others by the channel that says when
// their call ends.
func divide(recs []*record.Record) (ended []*record.Record, late map[<-chan struct{}][]*record.Record) {
	for i, rec := range recs {
		call := level.Abandoned(rec.StoreErr)
		switch {
		case call == nil && late != nil:
			ended = append(ended, rec)
		case call == nil:
		case late == nil:
			ended = append([]*record.Record(nil), recs[:i]...)
			late = map[<-chan struct{}][]*record.Record{call: {rec}}
		default:
			late[call] = append(late[call], rec)
		}
	}
	if late == nil {
		return recs, nil
	}
	return ended, late
}

// mustRepair reports whether rec is to be removed after a change: it failed, and may have been sent.
func mustRepair(rec *record.Record) bool {
	return rec.StoreErr != nil && !errors.Is(rec.StoreErr, fence.ErrUnsent)
}

// GiveUp has recs removed in the background.
func (p *Policy) GiveUp(recs []*record.Record, err error) {
	if len(recs) > 0 {
		p.keys.add(recs, err)
	}
}

// Trusted returns those of recs that do not wait for their removal.
func (p *Policy) Trusted(recs []*record.Record) []*record.Record {
	if !p.keys.any() {
		return recs
	}
	trusted := make([]*record.Record, 0, len(recs))
	for _, rec := range recs {
		if err := p.keys.distrusts(rec.Key); err != nil {
			rec.Got = record.Got{Err: err}
		} else {
			trusted = append(trusted, rec)
		}
	}
	return trusted
}

// Stop tries once more to remove what waits, for bound at most. Changes that fail afterwards are
// logged, and not tried again.
func (p *Policy) Stop(bound time.Duration) { p.keys.close(bound) }

// State returns the State of the inner policy, and the number of keys that wait for their removal.
func (p *Policy) State() fence.State {
	s := p.Policy.State()
	s.Repairs = p.keys.size()
	return s
}

var _ fence.Policy = (*Policy)(nil)
