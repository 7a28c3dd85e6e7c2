package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// ErrNotFenced is wrapped by the error of Mutate if the keys could not be fenced. The function
// has not been called then.
var ErrNotFenced = errors.New("cache: the keys could not be fenced, so nothing was changed")

// ErrFenceLost is wrapped by the error of Mutate if a key's fence was not closed any more when the
// function had ended. The server had evicted it, or the function ran for more than twice the maxLoad of
// WithFence. A load that began before the change may have stored its value meanwhile. Mutate has
// removed that value again, so the change is complete.
var ErrFenceLost = errors.New("cache: a fence was lost while the function ran, so other nodes may have read a stale value until now; " +
	"the key has been removed again; keep the server from evicting fences, for example by maxmemory-policy noeviction")

// Mutate calls fn, which changes what keys are loaded from, between two removals of keys: the
// first before fn is called, so that nobody has the old values even if this process dies right
// after fn's change has been committed, and the second when fn has ended, whatever came of it.
// With WithFence, nothing that is loaded in between is stored, on any node: loads go to their
// callers alone, and a process that dies within fn leaves that so for twice maxLoad.
//
// Items with a TTL below zero are not for the remote, and no fence covers them.
//
// fn's ctx ends after the maxLoad of WithFence: what it commits later is not covered. Mutate
// returns fn's error and, joined with it, what went wrong with the second removal, which is then
// tried again in the background. If a fence did not stay closed while fn ran, it joins an ErrFenceLost
// with them. If the first removal fails, it returns an ErrNotFenced and does not call fn. A caller that
// has to go on without the remote calls fn and then Delete. Without WithFence, it is a removal before
// and after fn: a load that was under way may still store what it read.
//
// c may be a wrapper that embeds a Cache or has a method Unwrap() Cache.
func Mutate(ctx context.Context, c Cache, keys []string, fn func(ctx context.Context) error) error {
	inner := innermost(c)
	if inner == nil {
		return fmt.Errorf("%w: a %T is no cache of this library", ErrNotFenced, c)
	}
	return inner.Mutate(ctx, keys, fn)
}

// Mutate is the function Mutate. It is not part of Cache, which other types implement, too.
func (c *jetCache) Mutate(ctx context.Context, keys []string, fn func(ctx context.Context) error) (err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	writes, errs, err := c.admit(newWrites(keys))
	if err := join(append(errs, err)...); err != nil {
		return err // nothing has been done, as some keys would not be covered
	}
	token := randomToken()
	closing := c.deleting(func(ctx context.Context, recs []*record.Record) error { return c.fence.Close(ctx, token, recs) })
	closing.doing = "fencing"
	if err := c.change(ctx, slices.Clone(writes), closing); err != nil && (!errors.Is(err, ErrNotTold) || anyFailed(writes)) { // if they were not told, they are told with the second removal, or the caller learns of it
		_ = c.endMutation(ctx, keys, token) // logged; a fence that stays closed opens by itself
		return fmt.Errorf("%w: %w", ErrNotFenced, err)
	}
	defer func() { // also if fn panics
		err = join(err, c.endMutation(ctx, keys, token))
	}()
	bounded, cancel := c.fence.Bounded(ctx)
	defer cancel()
	return fn(bounded)
}

// endMutation removes the keys again and opens their fences. The caller may have left.
func (c *jetCache) endMutation(ctx context.Context, keys []string, token string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	var lost error
	err := c.change(ctx, newWrites(keys), c.deleting(func(ctx context.Context, recs []*record.Record) error {
		err := c.fence.Reopen(ctx, token, recs)
		if i := slices.IndexFunc(recs, func(rec *record.Record) bool { return rec.FenceLost }); i >= 0 {
			lost = fmt.Errorf("%w: %s", ErrFenceLost, quote.Key(recs[i].Key))
		}
		return err
	}))
	return join(err, lost)
}

// anyFailed reports whether the remote could not change one of the keys.
func anyFailed(writes []*write) bool {
	return slices.ContainsFunc(writes, func(w *write) bool { return w.StoreErr != nil })
}

func newWrites(keys []string) []*write {
	writes := make([]*write, len(keys))
	for i, key := range keys {
		writes[i] = newWrite(key, nil)
	}
	return writes
}
