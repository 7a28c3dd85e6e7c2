// Package coherence keeps the local level of a cache in step with the changes that other nodes
// make. It hears of them by a link (package link), from the remote itself (tracking), or both, and
// notices when it may have missed some. Then the local entries are in doubt (package doubt).
//
// It does not depend on the cache. It gets functions that drop keys, wake callers, keep callers
// from joining old loads, and compare keys with the remote.
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
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// Config says what a Sync connects. The Sync calls the functions from goroutines of its own, also
// concurrently.
type Config struct {
	Observe   *observe.Observer
	Local     *level.Local
	Heartbeat time.Duration

	// The link. It is on if Linked is true.

	Linked   bool
	Bus      remote.Bus
	Channel  string
	SourceID string
	Instance string // differs from that of every other cache
	// Carries reports whether changes of keys can carry announcements on Channel: the bus is the
	// remote itself, and a remote.Carrier that can do so.
	Carries bool

	// Tracking. It is off if Track is nil. For the meaning see remote.Tracker.

	Track    func(ctx context.Context, prefixes []string, ready func(), changed func(keys []string)) error
	Prefixes []string

	// Drop drops from the local level what another node has changed.
	Drop func(keys []string)
	// Wake wakes the calls that wait until another node has loaded keys.
	Wake func(keys []string)
	// Part keeps calls from joining the loads that are under way. A load that begins later may be
	// joined until it reaches age. An age of zero means no limit.
	Part func(age time.Duration)
	// Compare reads keys and their lifetimes from the remote. It returns those that another node has
	// changed: own reports false for what the remote has, or the remote does not have the key, or
	// does not answer. It calls own as soon as the remote has answered. Of the other keys, it drops
	// the local entries that differ from the remote.
	Compare func(ctx context.Context, keys []string, own func(key string, got *record.Got) bool) (foreign []string)
}

// Sync keeps a local level in step. Make one with New, connect it with Start, and end it with
// Close. After Start, the methods may be called concurrently. A nil Sync does nothing: it is that of
// a cache that does not follow other nodes.
type Sync struct {
	cfg      Config
	link     *link.Link // nil if the link is off; set by Start
	tracking *tracking  // nil if tracking is off
	closed   atomic.Bool
	parting  sync.Mutex // held by part

	starting sync.Mutex
	given    bool // guarded by starting: Start has returned, so entries may have been stored

	doubted chan struct{} // has an element after a gap
	stop    chan struct{} // closed by Close
	ended   chan struct{} // closed when endDoubts has ended; nil if it was not started

	gaps, broken, missed, warnings *observe.Line
}

// startTimeout bounds how long Start waits for the links to be ready.
const startTimeout = time.Second

// New returns a Sync, or nil if neither the link nor tracking is on. It sets the Doubts of the local
// level, and its Kept if coverage can be checked. Until Start, nothing is in doubt.
func New(cfg Config) *Sync {
	if !cfg.Linked && cfg.Track == nil {
		return nil
	}
	cfg.Local.Doubts = new(doubt.Set)
	s := &Sync{
		cfg: cfg, doubted: make(chan struct{}, 1), stop: make(chan struct{}),
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

// Start connects the link and tracking, and waits until they are ready or have failed, for a second
// at most. So a new cache hears of changes from its first read on, if the other nodes can be reached.
// The caller must end the Sync with Close.
func (s *Sync) Start() {
	if s == nil {
		return
	}
	began := time.Now()
	if _, known := s.cfg.Local.NoneBefore(); known {
		s.ended = make(chan struct{})
		go s.endDoubts()
	}
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
	s.starting.Lock()
	defer s.starting.Unlock()
	s.given = true
}

// Writing returns the function that this node must call with each value, and the lifetime that it
// gives to it, before it writes the value to the remote. So tracking can tell the node's own writes from
// the changes of others. It returns nil if tracking is off.
func (s *Sync) Writing() func(key string, data []byte, life time.Duration) {
	if s == nil || s.tracking == nil {
		return nil
	}
	return s.tracking.own.note
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
		Carries:   cfg.Carries,
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

// signalsOf returns the channel of signals that belongs to a channel of changes. On a cluster, both
// are in one slot, unless the name has braces that do not make a hash tag.
func signalsOf(channel string) string {
	if strings.ContainsAny(channel, "{}") {
		return channel + "#signals"
	}
	return "{" + channel + "}#signals"
}

// tellTimeout bounds how long a change waits for the bus.
const tellTimeout = 5 * time.Second

// Tell tells the other nodes that keys have changed, and waits until the bus has taken the message,
// for five seconds at most. The kind is an EventType. If Tell returns an error, the link goes on
// trying until Close, unless too many keys wait. It does nothing if the link is off.
func (s *Sync) Tell(ctx context.Context, kind int, keys []string) error {
	if s == nil || s.link == nil || len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	return s.link.Tell(kind, keys).Wait(ctx)
}

// Announce returns an announcement that tells the other nodes of keys, for the change of these keys to
// carry. The kind is an EventType. It returns nil if the change cannot carry one now. Then call Tell
// after the change. After the change, call Announced.
func (s *Sync) Announce(kind int, keys []string) *remote.Announcement {
	if s == nil || s.link == nil {
		return nil
	}
	return s.link.Announce(kind, keys)
}

// Carries reports whether changes may carry announcements.
func (s *Sync) Carries() bool { return s != nil && s.cfg.Carries }

// Announced records what became of an announcement of Announce, which may be nil. If it reports
// false, the other nodes have not been told: call Tell.
func (s *Sync) Announced(a *remote.Announcement) (told bool) {
	if s == nil || s.link == nil {
		return false
	}
	s.link.Announced(a)
	return a != nil && a.Sent
}

// Hears reports whether the link is up, so that this node hears soon what other nodes tell of. It is
// false if the link is off.
func (s *Sync) Hears() bool { return s != nil && s.link != nil && s.link.Healthy() }

// TellLater is Tell that does not wait.
func (s *Sync) TellLater(kind int, keys []string) {
	if s != nil && s.link != nil && len(keys) > 0 {
		s.link.Tell(kind, keys)
	}
}

// TellFilled tells the other nodes that they need not wait for keys any more. They also find out by
// themselves, a little later, so an error is only logged.
func (s *Sync) TellFilled(ctx context.Context, keys []string) {
	if s == nil || s.link == nil {
		return
	}
	if err := s.link.TellFilled(ctx, keys); err != nil {
		s.cfg.Observe.Debug(nil, "telling other nodes that keys have been loaded: %v", err)
	}
}

// Close sends the changes that wait, ends the link and tracking, and waits for all goroutines of the
// Sync. It takes at most bound if the bus and the remote return when their ctx ends, and otherwise at
// most three times bound. What it could not send is logged. Every local entry is in doubt from then
// on. Later calls of Close do nothing.
func (s *Sync) Close(bound time.Duration) {
	if s == nil || !s.closed.CompareAndSwap(false, true) {
		return
	}
	end := time.Now().Add(bound)
	close(s.stop)
	if s.link != nil {
		if n := s.link.Close(bound); n > 0 {
			s.cfg.Observe.Warn(nil, "closed, but other nodes could not be told of %d changed keys; they may keep old values of these keys until those expire", n)
		}
	}
	if s.tracking != nil {
		s.tracking.close(end)
	}
	if s.ended != nil {
		waitUntil(end, s.ended)
	}
}

// waitUntil waits until done is closed, or until end.
func waitUntil(end time.Time, done <-chan struct{}) {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// State describes a Sync at one moment.
type State struct {
	Linked, Tracking bool // whether the link and tracking are on
	InDoubt          bool // some local entries may be in doubt
	// State is that of the link and tracking together: it is Ready if both are, since the later
	// of the two moments; it has the gaps and the errors of both.
	link.State
}

// State describes the Sync. A nil Sync has the zero State.
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
