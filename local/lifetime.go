package local

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/jitter"
)

// lifetime is how long a store keeps an entry: a TTL, and a random jitter.
type lifetime struct {
	clock
	ttl    time.Duration // 0 if entries do not expire
	jitter atomic.Int64  // the largest jitter of an entry stored now, in nanoseconds

	largestJitter atomic.Int64              // the largest that jitter has been
	longestStale  atomic.Int64              // the longest time that an entry was to be kept beyond its TTL, in nanoseconds
	first         atomic.Pointer[time.Time] // when the first entry was stored; nil if none was
}

// init sets the TTL and its default jitter, and the clock. It panics if ttl is negative.
func (l *lifetime) init(constructor string, ttl time.Duration, c clock) {
	if ttl < 0 {
		panic(fmt.Sprintf("local: %s: the ttl is %s; give 0 for entries that do not expire", constructor, ttl))
	}
	l.clock, l.ttl = c, ttl
	l.UseRandomizedTTL(jitter.Default(ttl))
}

// UseRandomizedTTL sets the jitter: each entry that is stored from now on lives for the store's
// TTL plus a random duration in [0, offset), so that entries which were stored together do not
// expire together. The default is a tenth of the TTL, but at most 10s. Zero or less turns the
// jitter off. It has no effect on a store whose entries do not expire, and an entry never
// outlives a TTL of its own because of it. It may be called at any time and by any goroutine.
func (l *lifetime) UseRandomizedTTL(offset time.Duration) {
	raise(&l.largestJitter, int64(offset))
	l.jitter.Store(int64(offset))
}

// raise makes a at least n.
func raise(a *atomic.Int64, n int64) {
	for {
		if old := a.Load(); n <= old || a.CompareAndSwap(old, n) {
			return
		}
	}
}

// NoneBefore returns a time that no entry of the store is older than; see Dated.
func (l *lifetime) NoneBefore() time.Time {
	now := time.Now()
	first := l.first.Load()
	if first == nil {
		return now
	}
	longest := after(after(int64(l.ttl), time.Duration(l.largestJitter.Load())), time.Duration(l.longestStale.Load()))
	if l.ttl == 0 || longest == forever { // entries do not expire, or the sum has overflowed
		return *first
	}
	if oldest := now.Add(-time.Duration(longest)); oldest.After(*first) {
		return oldest
	}
	return *first
}

// next returns how long an entry lives that is stored now, or 0 if it does not expire.
func (l *lifetime) next() time.Duration {
	if l.first.Load() == nil {
		now := time.Now()
		l.first.CompareAndSwap(nil, &now)
	}
	if l.ttl == 0 {
		return 0
	}
	return jitter.Add(l.ttl, time.Duration(l.jitter.Load()))
}

// atMost is next for an entry that lives for ttl (above zero) at most.
func (l *lifetime) atMost(ttl time.Duration) time.Duration {
	if own := l.next(); own > 0 {
		return min(own, ttl)
	}
	return ttl
}

// timesOf returns the times of an entry that is stored now and lives for ttl, as next returns it.
func (l *lifetime) timesOf(ttl time.Duration) times {
	now := l.now()
	if ttl == 0 {
		return times{until: forever, loaded: now}
	}
	return times{until: after(now, ttl), loaded: now}
}

// timesOfLife returns the times of an entry that is stored now with life, whose TTL is not below zero.
func (l *lifetime) timesOfLife(life Life) times {
	ttl := l.next()
	if life.TTL > 0 && (ttl == 0 || life.TTL < ttl) {
		ttl = life.TTL
	}
	t := l.timesOf(ttl)
	if !life.Loaded.IsZero() {
		t.loaded = min(l.at(life.Loaded), t.loaded)
	}
	if t.until == forever {
		return t
	}
	t.early, t.stale = min(millis(life.Early), millis(ttl/2)), millis(life.Stale)
	t.until -= int64(t.early) * int64(time.Millisecond)
	raise(&l.longestStale, int64(t.stale)*int64(time.Millisecond))
	return t
}
