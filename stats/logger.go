package stats

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/mgtv-tech/jetcache-go/logger"
)

// defaultInterval is how often a Stats logs unless WithStatsInterval says
// otherwise.
const defaultInterval = time.Minute

// Stats counts since its creation and logs what was added in each interval. The
// counters only grow; read them with atomic.LoadUint64 while the cache is in
// use. Make one with NewStatsLogger.
type Stats struct {
	Name string // the cache's name in the table; not changed after creation

	_ [64]byte // keeps what is written from the cache lines of what is read

	// Counters, written with sync/atomic.
	Hit        uint64
	Miss       uint64
	LocalHit   uint64
	LocalMiss  uint64
	RemoteHit  uint64
	RemoteMiss uint64
	Query      uint64
	QueryFail  uint64
	// What is zero in quiet times; the table mentions it only if it is not.
	RemoteErrors    uint64 // remote calls that failed
	RefreshTimeouts uint64 // loads in the background that did not end within their deadline
	RefreshEvicted  uint64 // keys no longer refreshed because too many were
	EventKeysLost   uint64 // keys whose events were never delivered
	FillsRefused    uint64 // loaded values not stored because their keys had been changed meanwhile
	SyncGaps        uint64 // times at which messages of other nodes may have been missed

	_ [64]byte

	cells    spread // nil: the fields above are counted in directly
	interval time.Duration

	mu     sync.Mutex
	closed bool        // guarded by mu
	timer  *time.Timer // guarded by mu
	since  time.Time   // guarded by mu: when the counts of last were taken
	last   counts      // guarded by mu: what has been logged already
}

var (
	_ Handler            = (*Stats)(nil)
	_ RemoteErrorCounter = (*Stats)(nil)
	_ RefreshCounter     = (*Stats)(nil)
	_ EventCounter       = (*Stats)(nil)
	_ FenceCounter       = (*Stats)(nil)
	_ SyncCounter        = (*Stats)(nil)
)

// Option configures NewStatsLogger.
type Option func(*Stats)

// WithStatsInterval sets how often the counts are logged. Default: one minute;
// zero or less means the default.
func WithStatsInterval(d time.Duration) Option {
	return func(s *Stats) {
		if d > 0 {
			s.interval = d
		}
	}
}

// NewStatsLogger returns a *Stats: a Handler that counts, and that logs a table
// at every full interval of the clock in which its cache had traffic. Caches
// with the same interval share one table.
//
// It holds a timer and no goroutine. The timer ends with Close, or when the
// Stats is no longer reachable.
func NewStatsLogger(name string, opts ...Option) Handler {
	s := &Stats{Name: name, interval: defaultInterval, since: time.Now()}
	for _, opt := range opts {
		opt(s)
	}
	open.add(s)
	s.mu.Lock()
	s.arm(s.since)
	s.mu.Unlock()
	// The timer and the registry know s by a weak pointer only, so a Stats that
	// nobody uses any more is collected; its timer runs once more, to no effect.
	runtime.AddCleanup(s, open.forget, weak.Make(s))
	return s
}

// arm schedules the next report for the next full interval of the clock after
// now, so that the tables of a fleet's nodes cover the same minutes. Call it
// with mu held.
func (s *Stats) arm(now time.Time) {
	wait := now.Truncate(s.interval).Add(s.interval).Sub(now)
	if s.timer != nil {
		s.timer.Reset(wait)
		return
	}
	self := weak.Make(s)
	s.timer = time.AfterFunc(wait, func() {
		if s := self.Value(); s != nil {
			s.tick()
		}
	})
}

// tick logs the table of every open Stats that is due, and schedules the next.
func (s *Stats) tick() {
	now := time.Now()
	report(open.withInterval(s.interval), now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.arm(now)
	}
}

// Close stops the logging for good, without a table of the last interval; the
// counters go on counting. It is safe to call more than once and from any
// goroutine.
func (s *Stats) Close() {
	open.forget(weak.Make(s))
	s.Update()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.timer.Stop()
}

// due returns what was counted since the last report and how long that took,
// and marks it as reported. It reports nothing before the interval has run
// down (another Stats of the same interval may have reported it already).
func (s *Stats) due(now time.Time) (delta counts, took time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.since.Before(now.Truncate(s.interval)) {
		return counts{}, 0, false
	}
	total := s.load()
	delta, took = total.minus(s.last), now.Sub(s.since)
	s.last, s.since = total, now
	return delta, took, true
}

func (s *Stats) load() counts {
	s.Update()
	return counts{
		hit:        atomic.LoadUint64(&s.Hit),
		miss:       atomic.LoadUint64(&s.Miss),
		localHit:   atomic.LoadUint64(&s.LocalHit),
		localMiss:  atomic.LoadUint64(&s.LocalMiss),
		remoteHit:  atomic.LoadUint64(&s.RemoteHit),
		remoteMiss: atomic.LoadUint64(&s.RemoteMiss),
		query:      atomic.LoadUint64(&s.Query),
		queryFail:  atomic.LoadUint64(&s.QueryFail),
		troubles: troubles{
			remoteErrors:    atomic.LoadUint64(&s.RemoteErrors),
			refreshTimeouts: atomic.LoadUint64(&s.RefreshTimeouts),
			refreshEvicted:  atomic.LoadUint64(&s.RefreshEvicted),
			eventKeysLost:   atomic.LoadUint64(&s.EventKeysLost),
			fillsRefused:    atomic.LoadUint64(&s.FillsRefused),
			syncGaps:        atomic.LoadUint64(&s.SyncGaps),
		},
	}
}

// IncrHit and its siblings count one action each; see Handler.
func (s *Stats) IncrHit() { s.increment(&s.Hit, spreadHit) }

// IncrMiss counts a read that no level answered.
func (s *Stats) IncrMiss() { s.increment(&s.Miss, spreadMiss) }

// IncrLocalHit counts an answer of the local level.
func (s *Stats) IncrLocalHit() { s.increment(&s.LocalHit, spreadLocalHit) }

// IncrLocalMiss counts a look into the local level that found nothing.
func (s *Stats) IncrLocalMiss() { s.increment(&s.LocalMiss, spreadLocalMiss) }

// IncrRemoteHit counts an answer of the remote level.
func (s *Stats) IncrRemoteHit() { s.increment(&s.RemoteHit, spreadRemoteHit) }

// IncrRemoteMiss counts a remote read that found nothing or failed.
func (s *Stats) IncrRemoteMiss() { s.increment(&s.RemoteMiss, spreadRemoteMiss) }

// IncrQuery counts a call of a loader.
func (s *Stats) IncrQuery() { s.increment(&s.Query, spreadQuery) }

// IncrQueryFail counts a loader's failure.
func (s *Stats) IncrQueryFail(error) { s.increment(&s.QueryFail, spreadQueryFail) }

// IncrRemoteError counts a remote call that failed.
func (s *Stats) IncrRemoteError(string, error) { atomic.AddUint64(&s.RemoteErrors, 1) }

// IncrRefreshTimeout counts a load in the background that did not end in time.
func (s *Stats) IncrRefreshTimeout() { atomic.AddUint64(&s.RefreshTimeouts, 1) }

// IncrRefreshEvicted counts a key that is no longer refreshed because too many are.
func (s *Stats) IncrRefreshEvicted() { atomic.AddUint64(&s.RefreshEvicted, 1) }

// IncrEventKeysLost counts keys whose events were never delivered.
func (s *Stats) IncrEventKeysLost(n int) { atomic.AddUint64(&s.EventKeysLost, uint64(n)) }

// IncrFillRefused counts loaded values that a fence kept out of the remote.
func (s *Stats) IncrFillRefused(n int) { atomic.AddUint64(&s.FillsRefused, uint64(n)) }

// IncrSyncGap counts a time at which messages of other nodes may have been missed.
func (s *Stats) IncrSyncGap() { atomic.AddUint64(&s.SyncGaps, 1) }

// open knows every Stats that has not been closed, without keeping it alive.
var open = registry{m: make(map[weak.Pointer[Stats]]struct{})}

type registry struct {
	mu sync.Mutex
	m  map[weak.Pointer[Stats]]struct{} // guarded by mu
}

func (r *registry) add(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.m[weak.Make(s)] = struct{}{}
}

func (r *registry) forget(p weak.Pointer[Stats]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.m, p)
}

// withInterval returns the open Stats that log at this interval.
func (r *registry) withInterval(d time.Duration) []*Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*Stats
	for p := range r.m {
		if s := p.Value(); s != nil && s.interval == d {
			found = append(found, s)
		}
	}
	return found
}

// report logs one table of all those in stats that are due and had traffic.
func report(stats []*Stats, now time.Time) {
	var rows []row
	for _, s := range stats {
		if delta, took, ok := s.due(now); ok && delta != (counts{}) {
			rows = append(rows, row{s.Name, delta, took})
		}
	}
	if len(rows) > 0 {
		logger.Info("%s", table(rows))
	}
}
