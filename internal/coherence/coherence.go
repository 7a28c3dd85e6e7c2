// Package coherence keeps the local level of a cache in step with the changes that other nodes
// make. It hears of them by a link (package link), from the remote itself (tracking), or both,
// and notices when it may have missed some. Then the local entries are in doubt (package doubt).
package coherence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/link"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// Config says what a Sync connects. Its functions may be called from any goroutine.
type Config struct {
	Observe   *observe.Observer
	Local     *level.Local
	Heartbeat time.Duration

	// The link. Linked switches it on.

	Linked   bool
	Bus      remote.Bus
	Channel  string
	SourceID string
	Instance string // unlike that of any other cache

	// Tracking. A nil Track switches it off.

	Track    func(ctx context.Context, prefixes []string, ready func(), changed func(keys []string)) error
	Prefixes []string

	// Drop drops from the local level what another node has changed.
	Drop func(keys []string)
	// Wake wakes the calls that wait until another node has loaded keys.
	Wake func(keys []string)
	// Part keeps calls from joining the loads that are under way. Later loads may be joined
	// until they are of that age; zero stands for as long as they take.
	Part func(age time.Duration)
	// Compare returns those of keys of which the remote does not have what own says that this
	// node wrote last. It drops from the local level whatever differs from the remote.
	Compare func(ctx context.Context, keys []string, own func(key string, data []byte) bool) (foreign []string)
}

// Sync keeps a local level in step. Make one with New. A nil Sync does nothing: it is that of a
// cache which follows nobody.
type Sync struct {
	cfg      Config
	link     *link.Link // nil if the link is off
	tracking *tracking  // nil if tracking is off
	given    atomic.Bool
	ending   atomic.Bool // endDoubts has a goroutine
	closed   atomic.Bool
	parting  sync.Mutex    // held by part
	stop     chan struct{} // closed to end what runs

	gaps, broken, missed, warnings *observe.Line
}

// startTimeout bounds how long Start waits for the links to be ready.
const startTimeout = time.Second

// New returns a Sync, or nil if neither the link nor tracking is on. It puts the local level
// under its doubts. Start connects it.
func New(cfg Config) *Sync {
	if !cfg.Linked && cfg.Track == nil {
		return nil
	}
	cfg.Local.Doubts = new(doubt.Set)
	s := &Sync{
		cfg: cfg, stop: make(chan struct{}),
		gaps: observe.NewLine(), broken: observe.NewLine(), missed: observe.NewLine(), warnings: observe.NewLine(),
	}
	if cfg.Track != nil {
		s.tracking = newTracking(s)
		if !cfg.Linked && len(cfg.Prefixes) > 0 {
			cfg.Local.Kept = s.checkCoverage
		}
	}
	return s
}

// Start connects the links and waits for them, for a second at most: a cache that has been made
// hears of changes from its first read on, if the others can be reached.
func (s *Sync) Start() {
	if s == nil {
		return
	}
	began := time.Now()
	if s.cfg.Linked {
		s.link = link.Start(s.linkConfig())
	}
	if s.tracking != nil {
		s.tracking.start()
	}
	if s.link != nil {
		s.link.WaitReady(startTimeout)
	}
	if s.tracking != nil {
		s.tracking.line.WaitReady(startTimeout - time.Since(began))
	}
	s.given.Store(true)
}

// Writing notes that this node is about to write data, so that it can tell that write from the
// changes of others.
func (s *Sync) Writing() func(key string, data []byte) {
	if s == nil || s.tracking == nil {
		return nil
	}
	return s.tracking.own.note
}

// source are the functions by which a link puts the local level in doubt, and ends that.
type source struct {
	down, up func()
	gap      func(why string)
}

func (s *Sync) source() source {
	doubts := s.cfg.Local.Doubts
	var upBefore atomic.Bool
	return source{
		down: func() {
			doubts.Down()
			s.part()
			if upBefore.Load() {
				s.cfg.Observe.SyncGap()
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
			s.cfg.Observe.SyncGap()
			s.cfg.Observe.Warn(s.gaps, "changes on other nodes may have been missed: %s; older entries of the local level are checked against the remote when they are read", why)
			s.endDoubts()
		},
	}
}

// nothingStored reports whether there is nothing to doubt, because the store is empty and nobody
// has the cache yet. What is read from now on was not read before the link came up.
func (s *Sync) nothingStored() bool {
	now := time.Now()
	oldest, known := s.cfg.Local.NoneBefore()
	return known && !s.given.Load() && !oldest.Before(now)
}

// part keeps reads that begin from now on from joining loads that began before. A change of a key
// does that by itself, but only if it is heard of. While the link is down, a load is joined for a
// heartbeat at most.
//
// Otherwise, with a loader that takes long: (1) a load reads the old value from the database;
// (2) another node changes it, and the message is lost; (3) that is noticed, and the local entry
// is in doubt; (4) a read, long after the change, joins the load and gets the old value.
func (s *Sync) part() {
	s.parting.Lock()
	defer s.parting.Unlock()
	var age time.Duration
	if s.cfg.Local.Doubts.Deaf() {
		age = s.cfg.Heartbeat
	}
	s.cfg.Part(age)
}

// doubtCheck is how often endDoubts looks.
const doubtCheck = 10 * time.Second

// endDoubts ends the doubts when the store has nothing any more that is older than the gap, or
// was being stored just then. It works in the background, until Close.
func (s *Sync) endDoubts() {
	doubts := s.cfg.Local.Doubts
	if _, known := s.cfg.Local.NoneBefore(); !known || !doubts.Any() || !s.ending.CompareAndSwap(false, true) {
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
		for doubts.Any() {
			oldest, _ := s.cfg.Local.NoneBefore()
			if p := doubts.Now(); p != nil && oldest.After(p.Began.Add(doubtCheck)) {
				doubts.End(p)
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

func (s *Sync) linkConfig() link.Config {
	cfg, source := &s.cfg, s.source()
	return link.Config{
		Bus:       cfg.Bus,
		Changes:   cfg.Channel,
		Signals:   signalsOf(cfg.Channel),
		CacheName: cfg.Observe.Name(),
		SourceID:  cfg.SourceID,
		Instance:  cfg.Instance,
		Heartbeat: cfg.Heartbeat,
		Changed:   cfg.Drop,
		Filled:    cfg.Wake,
		Down:      source.down,
		Up:        source.up,
		Gap:       source.gap,
		Broken: func(err error) {
			if errors.Is(err, remote.ErrUnsupported) {
				cfg.Observe.Error(s.broken, "WithSyncLocal(true) cannot work here: %v; the local level is used only when the remote does not answer, and changes return ErrNotTold", err)
				return
			}
			cfg.Observe.Warn(s.broken, "the link to the other nodes is down: %v", err)
		},
		Warn: func(format string, v ...any) {
			cfg.Observe.Warn(s.warnings, "%s", fmt.Sprintf(format, v...))
		},
	}
}

// signalsOf returns the channel of signals that belongs to one of changes. On a cluster, both
// are in one slot if the name allows it.
func signalsOf(channel string) string {
	if strings.ContainsAny(channel, "{}") {
		return channel + "#signals"
	}
	return "{" + channel + "}#signals"
}

// tellTimeout bounds how long a change waits for the bus, which may not heed its ctx.
const tellTimeout = 5 * time.Second

// Tell tells the other nodes that keys have changed, and waits until the bus has taken that. The
// kind is an EventType.
func (s *Sync) Tell(ctx context.Context, kind int, keys []string) error {
	if s == nil || s.link == nil || len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	return s.link.Tell(kind, keys).Wait(ctx)
}

// TellLater is Tell that does not wait.
func (s *Sync) TellLater(kind int, keys []string) {
	if s != nil && s.link != nil && len(keys) > 0 {
		s.link.Tell(kind, keys)
	}
}

// TellFilled tells the other nodes that keys need not be waited for any more. They also find out
// by themselves, a little later.
func (s *Sync) TellFilled(ctx context.Context, keys []string) {
	if s == nil || s.link == nil {
		return
	}
	if err := s.link.TellFilled(ctx, keys); err != nil {
		s.cfg.Observe.Debug(nil, "telling other nodes that keys have been loaded: %v", err)
	}
}

// Close ends the links, within bound. What the local level has is in doubt from then on.
func (s *Sync) Close(bound time.Duration) {
	if s == nil || !s.closed.CompareAndSwap(false, true) {
		return
	}
	close(s.stop)
	if s.link != nil {
		if n := s.link.Close(bound); n > 0 {
			s.cfg.Observe.Warn(nil, "closed, but other nodes could not be told of %d changed keys; they notice that this node has fallen silent, and then ask the remote", n)
		}
	}
	if s.tracking != nil {
		s.tracking.line.Close(bound)
	}
}

// State is what is known of a Sync.
type State struct {
	Linked, Tracking bool
	InDoubt          bool
	link.State       // of both, taken together
}

// State returns what is known. The zero State is that of a nil Sync.
func (s *Sync) State() State {
	if s == nil {
		return State{}
	}
	st := State{Linked: s.link != nil, Tracking: s.tracking != nil, InDoubt: s.cfg.Local.Doubts.Any()}
	st.Ready = true
	if s.tracking != nil {
		s.tracking.line.AddTo(&st.State)
	}
	if s.link != nil {
		l := s.link.State()
		st.Ready = st.Ready && l.Ready
		if l.Since.After(st.Since) {
			st.Since = l.Since
		}
		st.Gaps += l.Gaps
		st.Err = errors.Join(st.Err, l.Err)
		if l.LastGap.After(st.LastGap) {
			st.LastGap, st.GapCause = l.LastGap, l.GapCause
		}
		st.Sent, st.Received, st.Waiting, st.Nodes = l.Sent, l.Received, l.Waiting, l.Nodes
	}
	return st
}
