// Package observe counts and logs what happens in a cache. All parts of a cache report here.
// Nothing else counts or logs for it.
package observe

import (
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/limit"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// Observer reports for one cache. Its methods may be called from any goroutine.
type Observer struct {
	name string
	log  logger.Logger

	// The statistics. Each is nil if the handler does not count it.
	handler   stats.Handler // of reads
	queries   stats.Handler // of loads
	own       localHitter   // handler, if it can count a local hit in one call
	remote    stats.RemoteErrorCounter
	refreshes stats.RefreshCounter
	events    stats.EventCounter
	fences    stats.FenceCounter
	gaps      stats.SyncCounter
	sizes     stats.SizeCounter
}

// localHitter is a handler of ours: it counts IncrHit and IncrLocalHit in one call.
type localHitter interface{ HitLocally() }

// New returns the Observer of the cache with this name. A nil h counts nothing. A nil log is the
// default logger of package logger.
func New(name string, h stats.Handler, log logger.Logger) *Observer {
	if log == nil {
		log = logger.Default()
	}
	o := &Observer{name: name, log: log}
	if stats.Enabled(h) {
		o.handler, o.queries = h, h
		o.own, _ = h.(localHitter)
	}
	o.remote, _ = h.(stats.RemoteErrorCounter)
	o.refreshes, _ = h.(stats.RefreshCounter)
	o.events, _ = h.(stats.EventCounter)
	o.fences, _ = h.(stats.FenceCounter)
	o.gaps, _ = h.(stats.SyncCounter)
	o.sizes, _ = h.(stats.SizeCounter)
	return o
}

// Silent returns an Observer for reads that no caller has asked for. It counts neither reads nor
// queries. It counts everything else, and logs, as o does.
func (o *Observer) Silent() *Observer {
	silent := o.Background()
	silent.queries = nil
	return silent
}

// Background returns an Observer for loads that no caller waits for. It does not count reads. It counts
// everything else, and logs, as o does.
func (o *Observer) Background() *Observer {
	background := *o
	background.handler, background.own = nil, nil
	return &background
}

// Name returns the name of the cache.
func (o *Observer) Name() string { return o.name }

// LocalHit counts a read that the local level answered.
func (o *Observer) LocalHit() {
	switch {
	case o.own != nil:
		o.own.HitLocally()
	case o.handler != nil:
		o.handler.IncrHit()
		o.handler.IncrLocalHit()
	}
}

// RemoteHit counts a read that the remote answered.
func (o *Observer) RemoteHit() {
	if o.handler != nil {
		o.handler.IncrHit()
		o.handler.IncrRemoteHit()
	}
}

// Miss counts a read that no level answered.
func (o *Observer) Miss() {
	if o.handler != nil {
		o.handler.IncrMiss()
	}
}

// LocalMiss counts a read that the local level did not answer.
func (o *Observer) LocalMiss() {
	if o.handler != nil {
		o.handler.IncrLocalMiss()
	}
}

// RemoteMiss counts a read that the remote did not answer.
func (o *Observer) RemoteMiss() {
	if o.handler != nil {
		o.handler.IncrRemoteMiss()
	}
}

// Query counts a call of a loader.
func (o *Observer) Query() {
	if o.queries != nil {
		o.queries.IncrQuery()
	}
}

// QueryFailed counts a loader's failure.
func (o *Observer) QueryFailed(err error) {
	if o.queries != nil {
		o.queries.IncrQueryFail(err)
	}
}

// RemoteFailed counts a failed call of the remote.
func (o *Observer) RemoteFailed(op string, err error) {
	if o.remote != nil {
		o.remote.IncrRemoteError(op, err)
	}
}

// RefreshTimedOut counts a load in the background that did not end within its deadline.
func (o *Observer) RefreshTimedOut() {
	if o.refreshes != nil {
		o.refreshes.IncrRefreshTimeout()
	}
}

// RefreshEvicted counts a key that is no longer refreshed because there are too many.
func (o *Observer) RefreshEvicted() {
	if o.refreshes != nil {
		o.refreshes.IncrRefreshEvicted()
	}
}

// EventKeysLost counts n keys whose event is never delivered.
func (o *Observer) EventKeysLost(n int) {
	if o.events != nil {
		o.events.IncrEventKeysLost(n)
	}
}

// FillsRefused counts n loaded values that were not stored because their keys were changed.
func (o *Observer) FillsRefused(n int) {
	if o.fences != nil {
		o.fences.IncrFillRefused(n)
	}
}

// SyncGap counts a moment at which changes on other nodes may have been missed.
func (o *Observer) SyncGap() {
	if o.gaps != nil {
		o.gaps.IncrSyncGap()
	}
}

// ValueTooLarge counts a value that was not stored because of its size.
func (o *Observer) ValueTooLarge() {
	if o.sizes != nil {
		o.sizes.IncrValueTooLarge()
	}
}

// Interval is the shortest time between two lines of a NewLine.
const Interval = 10 * time.Second

// Line bounds how often a log line is written that may be due very often. The next line that passes
// says how many were suppressed. Make one with NewLine or EverySecond. It may be used concurrently.
type Line struct{ limiter limit.Limiter }

// NewLine returns a Line that passes once in each Interval.
func NewLine() *Line { return &Line{limit.Limiter{Interval: Interval}} }

// EverySecond returns a Line that passes once a second.
func EverySecond() *Line { return &Line{limit.Limiter{Interval: time.Second}} }

// allow reports whether the line may pass. The suffix, which the caller appends to the line, says
// how many were suppressed before it. A nil Line always passes.
func (l *Line) allow() (suffix string, ok bool) {
	if l == nil {
		return "", true
	}
	return l.limiter.Line()
}

// Debug logs a line at level Debug with the name of the cache, unless l suppresses it.
func (o *Observer) Debug(l *Line, format string, v ...any) { o.line(o.log.Debug, l, format, v) }

// Warn logs a line at level Warn with the name of the cache, unless l suppresses it.
func (o *Observer) Warn(l *Line, format string, v ...any) { o.line(o.log.Warn, l, format, v) }

// Error logs a line at level Error with the name of the cache, unless l suppresses it.
func (o *Observer) Error(l *Line, format string, v ...any) { o.line(o.log.Error, l, format, v) }

func (o *Observer) line(write func(format string, v ...any), l *Line, format string, v []any) {
	if suffix, ok := l.allow(); ok {
		write("cache %s: %s%s", o.name, fmt.Sprintf(format, v...), suffix)
	}
}
