package stats

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
	"weak"

	"github.com/mgtv-tech/jetcache-go/logger"
)

// Stats counts what a cache does and logs a table of what was added in each interval. Make one
// with NewStatsLogger, and do not copy it.
//
// The counters start at zero and only grow. While the cache is in use, read them with
// atomic.LoadUint64. All methods may be called concurrently.
type Stats struct {
	// Name is the cache's name in the table. It must not be changed.
	Name string

	_ [64]byte // keeps the counters, which are often written, out of the cache line of what is read

	// The counters of Handler.
	Hit        uint64
	Miss       uint64
	LocalHit   uint64
	LocalMiss  uint64
	RemoteHit  uint64
	RemoteMiss uint64
	Query      uint64
	QueryFail  uint64
	// The counters of what should not happen. The table names those that are not zero.
	RemoteErrors    uint64 // remote calls that failed
	RefreshTimeouts uint64 // loads in the background that did not end before their deadline
	RefreshEvicted  uint64 // keys that are no longer refreshed, because there were too many
	EventKeysLost   uint64 // keys whose events were never delivered
	FillsRefused    uint64 // loaded values that were not stored, because their keys had changed during the load
	SyncGaps        uint64 // times at which messages of other nodes may have been missed
	ValuesTooLarge  uint64 // values that were not stored because of their size

	_ [64]byte

	cells spread // nil if the fields above are counted in directly
	table tableKey
	log   logger.Logger

	mu     sync.Mutex
	closed bool        // guarded by mu
	timer  *time.Timer // guarded by mu
	since  time.Time   // guarded by mu: when last was read
	last   counts      // guarded by mu: the counts that have been logged already
}

// On 32-bit platforms sync/atomic needs its 64-bit counters at multiples of 8 bytes. This does
// not compile where they are not: the constant would be less than zero.
const _ = -(unsafe.Offsetof(Stats{}.Hit) % 8)

var (
	_ Handler            = (*Stats)(nil)
	_ RemoteErrorCounter = (*Stats)(nil)
	_ RefreshCounter     = (*Stats)(nil)
	_ EventCounter       = (*Stats)(nil)
	_ FenceCounter       = (*Stats)(nil)
	_ SyncCounter        = (*Stats)(nil)
	_ SizeCounter        = (*Stats)(nil)
)

// NewStatsLogger returns a *Stats for the cache of that name. It counts, and it logs a table at
// the end of each interval in which its cache had traffic. The intervals begin at full intervals
// of the clock, such as full minutes. Caches with the same interval and the same logger share
// one table.
//
// A Stats has a timer and no goroutine. The timer ends with Close, or within one interval after
// the Stats is no longer reachable.
func NewStatsLogger(name string, opts ...Option) Handler {
	o := Options{interval: defaultInterval, log: logger.Default()}
	for _, opt := range opts {
		opt(&o)
	}
	s := &Stats{Name: name, cells: o.cells, table: keyOf(o), log: o.log, since: time.Now()}
	open.add(s)
	s.mu.Lock()
	s.arm(s.since)
	s.mu.Unlock()
	// The timer and the registry hold s by weak pointers, so an unused Stats is collected. Its
	// timer then fires once more and does nothing. The cleanup must not stop the timer: that is
	// a fatal error for a timer that was made in a bubble of testing/synctest.
	runtime.AddCleanup(s, open.remove, weak.Make(s))
	return s
}

// Close ends the logging. It does not log what was counted since the last table, and the
// counters go on counting. It may be called more than once.
func (s *Stats) Close() {
	open.remove(weak.Make(s))
	s.Update()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.timer.Stop()
}

// load reads the counters.
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
			valuesTooLarge:  atomic.LoadUint64(&s.ValuesTooLarge),
		},
	}
}

// IncrHit counts a read that a level answered.
func (s *Stats) IncrHit() { s.increment(&s.Hit, spreadHit) }

// IncrMiss counts a read that no level answered.
func (s *Stats) IncrMiss() { s.increment(&s.Miss, spreadMiss) }

// IncrLocalHit counts an answer of the local level.
func (s *Stats) IncrLocalHit() { s.increment(&s.LocalHit, spreadLocalHit) }

// IncrLocalMiss counts a key that the local level did not have.
func (s *Stats) IncrLocalMiss() { s.increment(&s.LocalMiss, spreadLocalMiss) }

// IncrRemoteHit counts an answer of the remote level.
func (s *Stats) IncrRemoteHit() { s.increment(&s.RemoteHit, spreadRemoteHit) }

// IncrRemoteMiss counts a key that the remote level did not have, or a read of it that failed.
func (s *Stats) IncrRemoteMiss() { s.increment(&s.RemoteMiss, spreadRemoteMiss) }

// IncrQuery counts a call of a loader.
func (s *Stats) IncrQuery() { s.increment(&s.Query, spreadQuery) }

// IncrQueryFail counts a loader that failed.
func (s *Stats) IncrQueryFail(error) { s.increment(&s.QueryFail, spreadQueryFail) }

// IncrRemoteError counts a remote call that failed.
func (s *Stats) IncrRemoteError(string, error) { atomic.AddUint64(&s.RemoteErrors, 1) }

// IncrRefreshTimeout counts a load in the background that did not end before its deadline.
func (s *Stats) IncrRefreshTimeout() { atomic.AddUint64(&s.RefreshTimeouts, 1) }

// IncrRefreshEvicted counts a key that is no longer refreshed, because there were too many.
func (s *Stats) IncrRefreshEvicted() { atomic.AddUint64(&s.RefreshEvicted, 1) }

// IncrEventKeysLost counts n keys whose events were never delivered.
func (s *Stats) IncrEventKeysLost(n int) { atomic.AddUint64(&s.EventKeysLost, uint64(n)) }

// IncrFillRefused counts n loaded values that were not stored, because their keys had changed
// during the load.
func (s *Stats) IncrFillRefused(n int) { atomic.AddUint64(&s.FillsRefused, uint64(n)) }

// IncrSyncGap counts a time at which messages of other nodes may have been missed.
func (s *Stats) IncrSyncGap() { atomic.AddUint64(&s.SyncGaps, 1) }

// IncrValueTooLarge counts a value that was not stored because of its size.
func (s *Stats) IncrValueTooLarge() { atomic.AddUint64(&s.ValuesTooLarge, 1) }
