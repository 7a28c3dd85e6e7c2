package cache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"
	"weak"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/lease"
	"github.com/mgtv-tech/jetcache-go/internal/load"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/internal/schedule"
)

// NeverStopRefresh has keys refreshed until they are deleted or the cache is closed, if it is given
// to WithStopRefreshAfterLastAccess.
const NeverStopRefresh time.Duration = math.MaxInt64

// ErrNoRefreshTask is returned by RefreshNow for a key that is not being refreshed.
var ErrNoRefreshTask = errors.New("cache: the key is not being refreshed: no Once asked for it with Refresh(true) and Do lately")

// refresher loads keys again in the background; internal/schedule says when.
type refresher struct {
	c        *jetCache
	schedule *schedule.Scheduler[item]
	loads    *load.Path // of a refresh, which has a lock of its own in place of a lease
	copies   *load.Path // of a node that another one loads for: nobody asked for the read
	failures *observe.Line
	hangs    *observe.Line
	evicted  *observe.Line

	mu      sync.Mutex
	loading map[string]int // guarded by mu: how many loaders of a key are running
}

const (
	// lockSuffix makes of a key the key of its lock. The node that sets it loads for the fleet.
	lockSuffix = "_#RL#"
	// lockMargin is how much earlier than the next interval the lock expires.
	lockMargin = 10 * time.Millisecond
	// raceDivisor is the part of the interval that the winner of a lock gets to load,
	// before the others look for the result.
	raceDivisor = 5
)

func newRefresher(c *jetCache) *refresher {
	loads, copies := *c.path, *c.path
	loads.Lease = lease.Off{}
	loads.Differs = func(key string, data []byte) bool { return !c.local.Holds(key, data) }
	copies.Observe = c.observe.Silent()
	r := &refresher{
		c: c, loads: &loads, copies: &copies, loading: make(map[string]int),
		failures: observe.NewLine(), hangs: observe.NewLine(), evicted: observe.NewLine(),
	}
	// A task holds its loader, which may refer to the cache. So the scheduler, which runs on its
	// own, must not keep alive a cache that nobody uses any more.
	self, obs := weak.Make(r), c.observe
	r.schedule = schedule.New(schedule.Config[item]{
		Interval: c.refreshDuration,
		Idle:     c.stopRefreshAfterLastAccess,
		Workers:  c.refreshConcurrency,
		Slow:     c.refreshDuration / 2,
		MaxTasks: c.maxRefreshTasks,
		Run: func(ctx context.Context, key string, opts item, attempt int) (next schedule.Next) {
			if r := self.Value(); r != nil {
				next = r.run(ctx, key, opts, attempt)
			}
			return next
		},
		Panicked: func(key string, v any, stack []byte) {
			obs.Error(nil, "refreshing %s panicked outside of its loader: %v\n%s", quote.Key(key), v, stack)
		},
		Evicted: func(key string) {
			if r := self.Value(); r != nil {
				r.reportEvicted(key)
			}
		},
	})
	return r
}

// keepFresh has key refreshed, or renews the interest in that.
func (c *jetCache) keepFresh(key string, opts item) {
	switch {
	case c.refresh == nil:
		c.warned.refresh.Do(func() {
			c.observe.Warn(nil, "Refresh(true) has no effect (key %s): WithRefreshDuration, which sets the interval, was not given", quote.Key(key))
		})
	case opts.do == nil:
		c.warned.refresh.Do(func() {
			c.observe.Warn(nil, "Refresh(true) without Do has no effect (key %s): there is nothing to load with", quote.Key(key))
		})
	default:
		opts.value, opts.explain, opts.explainEach = nil, nil, nil // the caller's
		opts.condition = record.Always                             // a refresh replaces what is there
		c.refresh.schedule.Touch(key, opts)
	}
}

func (r *refresher) forget(key string) {
	if r != nil {
		r.schedule.Forget(key)
	}
}

func (r *refresher) size() int {
	if r == nil {
		return 0
	}
	return r.schedule.Size()
}

func (r *refresher) close() {
	if r != nil && !r.schedule.Close(closeTimeout) {
		r.c.observe.Warn(nil, "closed, but after %s a load in the background has not ended", closeTimeout)
	}
}

// maxHanging is how many loaders of a key may hang beyond their deadlines before no more
// are called. It is more than one, because a newer loader may be a better one.
const maxHanging = 3

// maxAttempts bounds how often one node tries for a key's lock within an interval.
const maxAttempts = 3

// run refreshes one key: it loads it, if this node wins the lock, and otherwise brings the
// local level up to what the remote has. The result says when to come back before the next
// interval, and how this node stands back after a failure.
func (r *refresher) run(ctx context.Context, key string, opts item, attempt int) (next schedule.Next) {
	ctx, cancel := context.WithTimeout(ctx, r.c.refreshTimeout)
	defer cancel()
	shared := r.c.remote.Exists() && opts.ttl >= 0
	hangs := r.loaders(key) >= maxHanging
	switch {
	case hangs && shared:
		r.copy(ctx, key, opts)
		return next
	case hangs:
		return next
	case !shared: // there is no value to share
		err := r.load(ctx, key, opts)
		r.report(ctx, key, err)
		next.Suspect = hung(ctx, err)
		return next
	}

	lock, asked := key+lockSuffix, time.Now()
	stamp := strconv.FormatInt(asked.Unix(), 10)
	won, err := r.c.remote.Lock(ctx, lock, stamp, r.c.refreshDuration-lockMargin)
	if err != nil { // logged and counted
		return next
	}
	if won {
		if _, there := r.schedule.Job(key); !there { // deleted while we asked for the lock
			r.release(lock, stamp, asked)
			return next
		}
		if err := r.load(ctx, key, opts); err != nil {
			r.report(ctx, key, err)
			r.release(lock, stamp, asked)
			// Let every other node have its turn before we try again.
			next.Delay = r.c.refreshDuration * 9 / 10
			next.Suspect = hung(ctx, err)
		}
		return next
	}

	left, known, silent := r.c.remote.LockLeft(ctx, lock)
	part := r.c.refreshDuration / raceDivisor
	if attempt+1 < maxAttempts {
		switch {
		case !known || left > r.c.refreshDuration-part:
			// The lock was just taken: its winner may be loading.
			return schedule.Next{Again: part}
		case left < part:
			// It is the last interval's, and runs out soon.
			next.Again = left + lockMargin/2
		}
	}
	if silent == nil { // otherwise the copy would wait for the remote once more
		r.copy(ctx, key, opts)
	}
	return next
}

// hung reports whether a load has ended by the deadline of its run: its loader may heed
// that, or the run may have left the load behind.
func hung(ctx context.Context, err error) bool {
	end, ok := ctx.Deadline()
	return (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) && ok && !time.Now().Before(end)
}

// loaders returns how many loaders of key are running.
func (r *refresher) loaders(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loading[key]
}

// noteLoading counts a loader of key in; the result counts it out.
func (r *refresher) noteLoading(key string) (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loading[key]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.loading[key]--; r.loading[key] == 0 {
			delete(r.loading, key)
		}
	}
}

// load loads key and writes back what it gets. It does not take what another caller's read has
// found in a level.
func (r *refresher) load(ctx context.Context, key string, opts item) error {
	for rounds := 0; ; {
		s := newSingle(r.c, key, opts)
		s.req.Event = int(EventTypeSetByRefresh)
		out, led, err := r.c.flights.DoInBackground(ctx, key, func(loading context.Context, note flight.Note[record.Outcome]) (record.Outcome, error) {
			defer r.noteLoading(key)()
			// A load has no caller's deadline; a loader in the background shall know its own.
			if end, ok := ctx.Deadline(); ok {
				var cancel context.CancelFunc
				loading, cancel = context.WithDeadline(loading, end)
				defer cancel()
			}
			r.loads.Load(loading, &s.req, s.records(note))
			return s.rec.Out, s.rec.Err
		})
		if flight.LeaderLeft(err) {
			rounds++
		}
		loaded := err == nil && out.From == record.Loader
		switch {
		case led, loaded, ctx.Err() != nil, err != nil && !flight.LeaderLeft(err), rounds >= maxRounds:
			return flight.Settled(err)
		}
	}
}

// copy brings the local level up to what the remote has.
func (r *refresher) copy(ctx context.Context, key string, opts item) {
	if !r.c.local.Exists() {
		return
	}
	note := r.c.flights.Note(key)
	defer note.Release()
	s := newSingle(r.c, key, opts)
	recs := s.records(note)
	if !opts.skipLocal {
		recs = r.copies.Read(ctx, &s.req, recs)
	}
	if len(recs) > 0 && s.rec.Got.Err == nil { // the remote does not have it, or it is not to be kept
		note.FillRead(func() { r.c.local.Del(key) })
	}
}

// release gives the lock of a failed load back, so that another node may try. One that has
// expired since may be another's, even with the same stamp, which counts in seconds. release does not
// wait for the remote: the load may have waited for it already.
func (r *refresher) release(lock, stamp string, asked time.Time) {
	if time.Since(asked) >= r.c.refreshDuration-lockMargin {
		return
	}
	remote := r.c.remote
	remote.Later(func() {
		// The load's ctx may have run out.
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		remote.Unlock(ctx, lock, stamp)
	})
}

// report logs a failed load.
func (r *refresher) report(ctx context.Context, key string, err error) {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if hung(ctx, err) {
		r.c.observe.RefreshTimedOut()
		r.c.observe.Warn(r.hangs, "refreshing %s has not ended after %s: its loader is slow, or hangs", quote.Key(key), r.c.refreshTimeout)
		return
	}
	// Of a panic, the stack is logged: there is no caller who gets it.
	r.c.observe.Warn(r.failures, "refreshing %s failed: %+v", quote.Key(key), err)
}

// reportEvicted counts and logs that a key is no longer refreshed, because there are too many.
func (r *refresher) reportEvicted(key string) {
	r.c.observe.RefreshEvicted()
	r.c.observe.Warn(r.evicted, "%d keys are being refreshed, so %s, which was read least recently, no longer is; WithMaxRefreshTasks allows more", r.c.maxRefreshTasks, quote.Key(key))
}

// RefreshNow loads a key of c that is being refreshed, at once and on this node, whether or
// not another node has its turn, and keeps the value in both levels. It uses the newest
// loader that Once was given for the key, and returns its error; for a record that does not
// exist, that is nil. It returns ErrNoRefreshTask for a key that is not being refreshed.
// It has no deadline but ctx's: when ctx ends, it returns ctx's error. c may be a wrapper
// that embeds a Cache or has a method Unwrap() Cache.
func RefreshNow(ctx context.Context, c Cache, key string) error {
	inner := innermost(c)
	if inner == nil {
		return fmt.Errorf("%w: %s, and a %T is no cache of this library", ErrNoRefreshTask, quote.Key(key), c)
	}
	ctx, err := inner.begin(ctx, key)
	if err != nil {
		return err
	}
	if inner.refresh != nil {
		if opts, ok := inner.refresh.schedule.Job(key); ok {
			return inner.refresh.load(ctx, key, opts)
		}
	}
	return fmt.Errorf("%w: %s", ErrNoRefreshTask, quote.Key(key))
}
