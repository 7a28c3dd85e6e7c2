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
	"github.com/mgtv-tech/jetcache-go/internal/limit"
	"github.com/mgtv-tech/jetcache-go/internal/schedule"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// NeverStopRefresh, given to WithStopRefreshAfterLastAccess, has keys refreshed until they
// are deleted or the cache is closed.
const NeverStopRefresh time.Duration = math.MaxInt64

// ErrNoRefreshTask is returned by RefreshNow for a key that is not being refreshed.
var ErrNoRefreshTask = errors.New("cache: the key is not being refreshed: no Once asked for it with Refresh(true) and Do lately")

// refresher loads keys again in the background; internal/schedule says when.
type refresher struct {
	c        *jetCache
	schedule *schedule.Scheduler[item]
	unlock   remote.CompareDeleter // nil: the lock of a failed load expires
	counter  stats.RefreshCounter  // nil: nobody counts
	failures limit.Limiter
	hangs    limit.Limiter
	evicted  limit.Limiter
	warned   sync.Once // of Refresh(true) without Do

	mu      sync.Mutex
	loading map[string]int // guarded by mu: how many loaders of a key are running
}

const (
	// lockSuffix makes of a key the key of its lock: who sets it loads for the fleet.
	lockSuffix = "_#RL#"
	// lockMargin is how much earlier than the next interval the lock expires.
	lockMargin = 10 * time.Millisecond
	// raceDivisor is the part of the interval that the winner of a lock gets to load,
	// before the others look for the result.
	raceDivisor = 5
	// closeTime bounds how long Close waits for loads in the background.
	closeTime = 5 * time.Second
)

func newRefresher(c *jetCache) *refresher {
	r := &refresher{c: c, loading: make(map[string]int)}
	r.failures.Interval, r.hangs.Interval, r.evicted.Interval = troubleInterval, troubleInterval, troubleInterval
	r.unlock, _ = c.remote.store.(remote.CompareDeleter)
	r.counter, _ = c.stats.(stats.RefreshCounter)
	// Nothing that runs on its own may keep alive a cache that nobody uses any more.
	self, name := weak.Make(r), c.name
	r.schedule = schedule.New(schedule.Config[item]{
		Interval: c.refreshDuration,
		Idle:     c.stopRefreshAfterLastAccess,
		Workers:  c.refreshConcurrency,
		Slow:     c.refreshDuration / 2,
		MaxTasks: c.maxRefreshTasks,
		Run: func(ctx context.Context, key string, it item, attempt int) (next schedule.Next) {
			if r := self.Value(); r != nil {
				next = r.run(ctx, key, it, attempt)
			}
			return next
		},
		Panicked: func(key string, v any, stack []byte) {
			logger.Error("cache %s: refreshing %q panicked outside of its loader: %v\n%s", name, key, v, stack)
		},
		Evicted: func(key string) {
			if r := self.Value(); r != nil {
				r.reportEvicted(key)
			}
		},
	})
	return r
}

// touch registers key's task, or renews the interest in it.
func (r *refresher) touch(key string, it item) {
	if r == nil {
		return
	}
	if it.do == nil {
		r.warned.Do(func() {
			logger.Warn("cache %s: Refresh(true) without Do has no effect (key %q): there is nothing to load with", r.c.name, key)
		})
		return
	}
	it.value = nil        // the caller's
	it.condition = always // a refresh replaces what is there
	r.schedule.Touch(key, it)
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
	if r != nil && !r.schedule.Close(closeTime) {
		logger.Warn("cache %s: closed, but after %s a load in the background has not ended", r.c.name, closeTime)
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
func (r *refresher) run(ctx context.Context, key string, it item, attempt int) (next schedule.Next) {
	ctx, cancel := context.WithTimeout(ctx, r.c.refreshTimeout)
	defer cancel()
	shared := r.c.remote.exists() && it.ttl >= 0
	hangs := r.loaders(key) >= maxHanging
	switch {
	case hangs && shared:
		r.copy(ctx, key, it)
		return next
	case hangs:
		return next
	case !shared: // there is no value to share
		err := r.load(ctx, key, it)
		r.report(ctx, key, err)
		next.Suspect = hung(ctx, err)
		return next
	}

	lock, asked := key+lockSuffix, time.Now()
	stamp := strconv.FormatInt(asked.Unix(), 10)
	won, err := r.c.remote.set(ctx, lock, []byte(stamp), r.c.refreshDuration-lockMargin, ifAbsent)
	if err != nil { // logged and counted
		return next
	}
	if won {
		if _, there := r.schedule.Job(key); !there { // deleted while we asked for the lock
			r.release(lock, stamp, asked)
			return next
		}
		if err := r.load(ctx, key, it); err != nil {
			r.report(ctx, key, err)
			r.release(lock, stamp, asked)
			// Let every other node have its turn before we try again.
			next.Delay = r.c.refreshDuration * 9 / 10
			next.Suspect = hung(ctx, err)
		}
		return next
	}

	left, known := r.lockLeft(ctx, lock)
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
	r.copy(ctx, key, it)
	return next
}

// hung reports whether a load has ended by the deadline of its run: its loader may heed
// that, or the run may have left it.
func hung(ctx context.Context, err error) bool {
	end, ok := ctx.Deadline()
	return isContextError(err) && ok && !time.Now().Before(end)
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

// lockLeft returns how long the lock has to live, if the remote can tell.
func (r *refresher) lockLeft(ctx context.Context, lock string) (left time.Duration, known bool) {
	if r.c.remote.ttl == nil {
		return 0, false
	}
	v, found, err := r.c.remote.get(ctx, lock, true)
	if err != nil {
		return 0, false
	}
	if !found { // it ran out, or was released, since we asked
		return 0, true
	}
	return max(v.left, 0), true
}

// load loads key and keeps what it gets in both levels.
func (r *refresher) load(ctx context.Context, key string, it item) error {
	for {
		out, led, err := r.c.flights.DoInBackground(ctx, key, func(flight context.Context, note flight.Note[outcome]) (outcome, error) {
			defer r.noteLoading(key)()
			// A flight has nobody's deadline; a loader in the background shall know its own.
			if end, ok := ctx.Deadline(); ok {
				var cancel context.CancelFunc
				flight, cancel = context.WithDeadline(flight, end)
				defer cancel()
			}
			return r.c.query(flight, key, note, it, EventTypeSetByRefresh)
		})
		switch {
		case led:
			return err
		case err != nil && (ctx.Err() != nil || !isContextError(err)):
			return err
		case err == nil && out.from == fromLoader:
			return nil
		}
		// Another's flight, which found the old value or ended with its own caller.
	}
}

// copy brings the local level up to what the remote has.
func (r *refresher) copy(ctx context.Context, key string, it item) {
	if !r.c.local.exists() {
		return
	}
	note := r.c.flights.Note(key)
	defer note.Release()
	if it.skipLocal {
		note.FillRead(func() { r.c.local.del(key) })
		return
	}
	v, found, err := r.c.remote.get(ctx, key, true)
	if err != nil { // logged and counted
		return
	}
	note.FillRead(func() {
		if found {
			r.c.local.set(key, v.data, v.left, v.asked)
		} else {
			r.c.local.del(key)
		}
	})
}

// release gives the lock of a failed load back, so that another node may try. One that has
// expired since may be another's, even with the same stamp, which counts in seconds.
func (r *refresher) release(lock, stamp string, asked time.Time) {
	if r.unlock == nil || time.Since(asked) >= r.c.refreshDuration-lockMargin {
		return
	}
	// The load's ctx may have run out.
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if _, err := r.unlock.CompareAndDelete(ctx, lock, stamp); err != nil {
		r.c.remote.failed(ctx, "del", err)
	}
}

// report logs a failed load.
func (r *refresher) report(ctx context.Context, key string, err error) {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if hung(ctx, err) {
		if r.counter != nil {
			r.counter.IncrRefreshTimeout()
		}
		if held, ok := r.hangs.Allow(); ok {
			logger.Warn("cache %s: refreshing %q has not ended after %s: its loader is slow, or hangs (%d more such loads since the last such line)", r.c.name, key, r.c.refreshTimeout, held)
		}
		return
	}
	if held, ok := r.failures.Allow(); ok {
		logger.Warn("cache %s: refreshing %q failed: %v (%d more failures since the last such line)", r.c.name, key, err, held)
	}
}

// reportEvicted counts and logs that a key's task gave way to a newer one.
func (r *refresher) reportEvicted(key string) {
	if r.counter != nil {
		r.counter.IncrRefreshEvicted()
	}
	if held, ok := r.evicted.Allow(); ok {
		logger.Warn("cache %s: %d keys are being refreshed, so %q, which was not asked for the longest, no longer is (%d more since the last such line); WithMaxRefreshTasks allows more", r.c.name, r.c.maxRefreshTasks, key, held)
	}
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
		return fmt.Errorf("%w: %q, and a %T is no cache of this library", ErrNoRefreshTask, key, c)
	}
	ctx, err := inner.begin(ctx, key)
	if err != nil {
		return err
	}
	if inner.refresh != nil {
		if it, ok := inner.refresh.schedule.Job(key); ok {
			return inner.refresh.load(ctx, key, it)
		}
	}
	return fmt.Errorf("%w: %q", ErrNoRefreshTask, key)
}
