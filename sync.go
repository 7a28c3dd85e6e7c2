package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/limit"
	"github.com/mgtv-tech/jetcache-go/internal/link"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// ErrNotTold is wrapped by the errors of Set, Delete and what is built on them if the change
// was made but the other nodes could not be told of it: for a moment, they may go on serving
// what they have in their local levels. The message is sent again until it arrives; without
// it, they notice within seconds that this node has fallen silent, and then ask the remote.
var ErrNotTold = errors.New("cache: the change was made, but other nodes have not been told yet")

// syncer keeps the local level in step with the changes that other nodes make. Its nil value
// is that of a cache without a link.
type syncer struct {
	name      string // of the cache
	doubts    *doubt.Set
	flights   *flight.Table[outcome]
	link      *link.Link // nil: changes are heard of in another way
	tracking  *tracking  // nil: …
	heartbeat time.Duration
	loads     bool // loads are told, too
	counter   stats.SyncCounter
	store     local.Dated // nil: the local store does not tell how old its entries are
	given     atomic.Bool // New has returned the cache, as far as the links can tell
	ending    atomic.Bool // endDoubts has a goroutine
	closed    atomic.Bool
	parting   sync.Mutex    // held by part
	stop      chan struct{} // closed to end what runs
}

// syncStart bounds how long New waits for the links to be ready.
const syncStart = time.Second

// sourceOfDoubt are the functions by which a link puts the local level in doubt, and ends that.
type sourceOfDoubt struct {
	down, up func()
	gap      func(why string)
}

// initSync makes the syncer, if the options ask for one. It does not run yet.
func (c *jetCache) initSync() {
	if !c.options.sync.linked && !c.options.sync.tracked {
		return
	}
	s := &syncer{name: c.name, doubts: new(doubt.Set), flights: c.flights, heartbeat: c.options.sync.heartbeat, loads: c.options.sync.loads, stop: make(chan struct{})}
	s.counter, _ = c.stats.(stats.SyncCounter)
	s.store, _ = c.options.local.(local.Dated)
	c.syncer, c.local.doubts, c.remote.doubts = s, s.doubts, s.doubts
	if c.options.sync.tracked {
		c.remote.own = newOwnWrites()
		if !c.options.sync.linked && len(c.options.sync.prefixes) > 0 {
			c.local.coverage = &coverage{name: c.name, prefixes: c.options.sync.prefixes}
			c.local.coverage.lines.Interval = troubleInterval
		}
	}
}

// startSync connects the links and waits for them a little: a cache that has been made hears of
// changes from its first read on, if the others can be reached.
func (c *jetCache) startSync() {
	s := c.syncer
	if s == nil {
		return
	}
	began := time.Now()
	if c.options.sync.linked {
		s.link = link.Start(c.linkConfig(s.sourceOfDoubt(c.name)))
	}
	if c.options.sync.tracked {
		s.tracking = startTracking(c, s.sourceOfDoubt(c.name))
	}
	if s.link != nil {
		s.link.WaitReady(syncStart)
	}
	if s.tracking != nil {
		s.tracking.waitReady(syncStart - time.Since(began))
	}
	s.given.Store(true)
	// A cache that is dropped without Close leaves nothing running.
	runtime.AddCleanup(c, func(s *syncer) { go s.close() }, s)
}

// sourceOfDoubt returns the functions for a link.
func (s *syncer) sourceOfDoubt(name string) sourceOfDoubt {
	doubts, counter := s.doubts, s.counter
	var upBefore atomic.Bool
	gap := func() {
		if counter != nil {
			counter.IncrSyncGap()
		}
	}
	var lines limit.Limiter
	lines.Interval = troubleInterval
	return sourceOfDoubt{
		down: func() {
			doubts.Down()
			s.part()
			if upBefore.Load() {
				gap()
			}
		},
		up: func() {
			doubts.Up(upBefore.CompareAndSwap(false, true) && s.nothingStored())
			s.part()
			s.endDoubts()
		},
		gap: func(why string) {
			doubts.Gap()
			s.part()
			gap()
			if held, ok := lines.Allow(); ok {
				logger.Warn("cache %s: changes on other nodes may have been missed: %s; what the local level has is checked against the remote when it is asked for (%d more such gaps since the last such line)", name, why, held)
			}
			s.endDoubts()
		},
	}
}

// nothingStored reports whether there is nothing to doubt, as the store is empty and nobody has
// the cache yet. What is read from now on was not read before the link came up.
func (s *syncer) nothingStored() bool {
	now := time.Now()
	return s.store != nil && !s.given.Load() && !s.store.NoneBefore().Before(now)
}

// part keeps who reads from now on from joining loads that began before: a change of a key ends
// that by itself, but only if it is heard of. While the link is down, a load is joined for a
// heartbeat at the most.
//
// Otherwise, with a loader that takes long: (1) a load reads the old value from the database;
// (2) another node changes it, and the message is lost; (3) that is noticed, and the local entry
// is in doubt; (4) a read, long after the change, joins the load and gets the old value.
func (s *syncer) part() {
	s.parting.Lock()
	defer s.parting.Unlock()
	var age time.Duration
	if s.doubts.Deaf() {
		age = s.heartbeat
	}
	s.flights.Part(age)
}

// endDoubts ends the doubts when the store has nothing any more that is older than the gap, or was
// being stored just then.
func (s *syncer) endDoubts() {
	if s.store == nil || !s.doubts.Any() || !s.ending.CompareAndSwap(false, true) {
		return
	}
	go func() {
		ended := false
		defer func() {
			s.ending.Store(false)
			if ended { // a gap may have come in between
				s.endDoubts()
			}
		}()
		ticker := time.NewTicker(doubtCheck)
		defer ticker.Stop()
		for s.doubts.Any() {
			if p := s.doubts.Now(); p != nil && s.store.NoneBefore().After(p.Began.Add(doubtCheck)) {
				s.doubts.End(p)
			}
			select {
			case <-s.stop:
				return
			case <-ticker.C:
			}
		}
		ended = true
	}()
}

// doubtCheck is how often it is looked whether there is still something to doubt.
const doubtCheck = 10 * time.Second

// linkConfig returns the configuration of the link. Its functions do not keep the cache alive.
func (c *jetCache) linkConfig(doubt sourceOfDoubt) link.Config {
	self, name := weak.Make(c), c.name
	warn, broken := &limit.Limiter{Interval: troubleInterval}, &limit.Limiter{Interval: troubleInterval}
	return link.Config{
		Bus:       c.options.sync.bus,
		Changes:   c.options.sync.channel,
		Signals:   signalsOf(c.options.sync.channel),
		CacheName: c.name,
		SourceID:  c.sourceID,
		Instance:  randomToken(),
		Heartbeat: c.options.sync.heartbeat,
		Changed: func(keys []string) {
			if c := self.Value(); c != nil {
				c.dropLocally(keys)
			}
		},
		Filled: func(keys []string) {
			if c := self.Value(); c != nil {
				c.remote.leases.wake(keys)
			}
		},
		Down: doubt.down,
		Up:   doubt.up,
		Gap:  doubt.gap,
		Broken: func(err error) {
			switch held, ok := broken.Allow(); {
			case !ok:
			case errors.Is(err, remote.ErrUnsupported):
				logger.Error("cache %s: WithSyncLocal(true) cannot work here: %v; the local level is used only when the remote does not answer, and changes return ErrNotTold (%d more such lines held back)", name, err, held)
			default:
				logger.Warn("cache %s: the link to the other nodes is down: %v (%d more such lines held back)", name, err, held)
			}
		},
		Warn: func(format string, v ...any) {
			if held, ok := warn.Allow(); ok {
				logger.Warn("cache %s: %s (%d more such lines held back)", name, fmt.Sprintf(format, v...), held)
			}
		},
	}
}

// dropLocally drops what another node has changed.
func (c *jetCache) dropLocally(keys []string) {
	for _, key := range keys {
		c.flights.Invalidate(key, func() { c.local.del(key) })
	}
	c.remote.leases.wake(keys)
}

// tellTime bounds how long a change waits for the bus, which may not heed its ctx.
const tellTime = 5 * time.Second

// tell tells the other nodes of a change of keys and waits until the bus has taken that.
func (c *jetCache) tell(ctx context.Context, event EventType, keys ...string) error {
	if c.syncer == nil || c.syncer.link == nil || len(keys) == 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if err := c.syncer.link.Tell(int(event), keys).Wait(waiting); err != nil {
		what := fmt.Sprintf("%q", keys[0])
		if len(keys) > 1 {
			what = fmt.Sprintf("%d keys", len(keys))
		}
		return fmt.Errorf("%w: %s: %w", ErrNotTold, what, err)
	}
	return nil
}

// tellOfLoad tells the other nodes, without waiting, that keys were loaded, if they should hear
// of that: a load after a miss cannot make void what they have, as the fill rule and the
// remaining lifetimes let no local entry outlive the remote's; a refresh can, if the value is
// another one.
func (c *jetCache) tellOfLoad(event EventType, changed bool, keys ...string) {
	if c.syncer == nil || c.syncer.link == nil || len(keys) == 0 {
		return
	}
	if c.syncer.loads || event == EventTypeSetByRefresh && changed {
		c.syncer.link.Tell(int(event), keys)
	}
}

// differs reports whether data is not what the local level has of key.
func (c *jetCache) differs(key string, data []byte) bool {
	old, ok := c.local.get(key)
	return !ok || !bytes.Equal(old, data)
}

// close ends the links. What the local level has is in doubt from then on.
func (s *syncer) close() {
	if s == nil || !s.closed.CompareAndSwap(false, true) {
		return
	}
	close(s.stop)
	if s.link != nil {
		if n := s.link.Close(closeTime); n > 0 {
			logger.Warn("cache %s: closed, but other nodes could not be told of %d changed keys; they notice that this node has fallen silent, and then ask the remote", s.name, n)
		}
	}
	if s.tracking != nil {
		s.tracking.close()
	}
}

// initRepairs makes what removes from the remote, in the background, what a Set or Delete
// could not.
func (c *jetCache) initRepairs() {
	if !c.remote.fenced() {
		return
	}
	self, f := weak.Make(c), &c.remote.fences
	store, ttl := f.store, f.ttl()
	f.repairs = &repairs{
		name:   c.name,
		keys:   make(map[string]repair),
		remove: func(ctx context.Context, keys []string) error { return store.DelFenced(ctx, ttl, keys...) },
		removed: func(keys []string) {
			if c := self.Value(); c != nil {
				c.emit(EventTypeDelete, keys...)
				if c.syncer != nil && c.syncer.link != nil {
					c.syncer.link.Tell(int(EventTypeDelete), keys)
				}
			}
		},
	}
	f.repairs.lost.Interval = troubleInterval
}

// SyncState is what is known of a cache's link to the other nodes, and of its fences.
type SyncState struct {
	// Linked says that changes are told and heard by WithSyncLocal, Tracking that they are heard
	// from the remote by WithTracking.
	Linked, Tracking bool
	// Ready says that changes on other nodes are heard, Since since when that is so, or not.
	Ready bool
	Since time.Time
	// Err is why the link, or the tracking, was last down; nil: it never was.
	Err error
	// Channel is where changes are told.
	Channel string
	// Gaps counts how often messages may have been missed, LastGap and GapCause are the latest.
	Gaps     uint64
	LastGap  time.Time
	GapCause string
	// InDoubt says that there may be entries in the local level that are older than the last
	// gap: they are checked against the remote when they are asked for.
	InDoubt bool
	// Sent and Received count messages about changes, Waiting is how many keys have not been
	// told yet, and Nodes how many others were heard lately.
	Sent, Received uint64
	Waiting, Nodes int
	// FillsRefused counts loaded values that were not stored because their keys had been
	// changed meanwhile, Repairs the keys whose removal from the remote is being tried again.
	FillsRefused uint64
	Repairs      int
}

// SyncStateOf returns what is known of the link of c, which may be a wrapper that embeds a Cache
// or has a method Unwrap() Cache. The zero SyncState is that of a cache without a link.
func SyncStateOf(c Cache) SyncState {
	inner := innermost(c)
	if inner == nil {
		return SyncState{}
	}
	st := SyncState{FillsRefused: inner.remote.fences.refused.Load(), Repairs: inner.remote.fences.repairs.size()}
	s := inner.syncer
	if s == nil {
		return st
	}
	st.InDoubt = s.doubts.Any()
	st.Ready = true
	if s.tracking != nil {
		st.Tracking = true
		s.tracking.addTo(&st)
	}
	if s.link != nil {
		l := s.link.State()
		st.Linked, st.Channel = true, inner.options.sync.channel
		st.Ready = st.Ready && l.Ready
		st.Since, st.Gaps = later(st.Since, l.Since), st.Gaps+l.Gaps
		st.Err = errors.Join(st.Err, l.Err)
		if l.LastGap.After(st.LastGap) {
			st.LastGap, st.GapCause = l.LastGap, l.GapCause
		}
		st.Sent, st.Received, st.Waiting, st.Nodes = l.Sent, l.Received, l.Waiting, l.Nodes
	}
	return st
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
