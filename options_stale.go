package cache

import (
	"math"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/load"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// defaultStaleRetry is about how long a key is not loaded again after a failure, if there is a stale value.
const defaultStaleRetry = time.Second

// WithStaleOnError makes reads with a loader return the value that has expired if the load fails, for up
// to maxStale beyond the end of its TTL in the local level. Once, T.Get, MGet and what is built on them
// return it without an error then. The key is not loaded again for about WithStaleRetry: reads return the
// stale value at once meanwhile. A load that succeeds replaces the value. An answer that the record does
// not exist removes it, and so do Delete, an invalidation of another node, and an incoming change. The
// end of a caller's own ctx is not a failure of the load.
//
// The stale value is in the local level alone, in the place of the value that expired, so that the store
// may evict it as any other. It works with the stores of package local. It has no effect without a local
// level, on reads without a loader, and with SkipLocal. Without WithSyncLocal or WithTracking, a node
// does not hear that another node has removed the key, and may return the stale value of it.
//
// Default, and for zero or less: off. StaleOnError sets it for one call.
func WithStaleOnError(maxStale time.Duration) Option {
	return func(o *Options) { o.load.staleOnError = maxStale }
}

// WithStaleRetry sets how long a key is not loaded again after a failed load while there is a stale value
// of it. Up to a fifth is added at random. Default, and for zero or less: 1s. It has no effect without
// WithStaleOnError or StaleOnError.
func WithStaleRetry(d time.Duration) Option {
	return func(o *Options) { o.load.staleRetry = max(d, 0) }
}

// WithStaleIf sets for which errors of a load the stale value is returned. Many goroutines call it at a
// time. It is not asked for the not-found error, which is an answer, for the end of a caller's own ctx,
// and for ErrLoaderCycle: a stale value is never returned for these. By default, and with nil, it is returned for all others.
// It has no effect without WithStaleOnError or StaleOnError.
func WithStaleIf(covers func(err error) bool) Option {
	return func(o *Options) { o.load.staleIf = covers }
}

// WithStaleWhileRevalidate makes reads with a loader return the value that has expired at once, for up to
// window beyond the end of its TTL in the local level, and load it in the background: once per key and
// node, or per fleet with WithLease. The background load reads the remote first. Its loader has
// the time of WithLoadTimeout, or 30s. If it fails, the key is not loaded again for about WithStaleRetry. What
// removes the value, and where it works, is as for WithStaleOnError.
//
// Default, and for zero or less: off. StaleWhileRevalidate sets it for one call.
func WithStaleWhileRevalidate(window time.Duration) Option {
	return func(o *Options) { o.load.staleWhile = window }
}

// WithSoftTimeout bounds how long a read waits that could return a stale value: when the remote and the
// loader together have taken d, the read returns the stale value, and the load goes on in the background.
// The value may be as old as WithStaleOnError allows. A batch waits for the keys that have no stale value,
// and returns the stale values of the others only if all have one. Default, and for zero or less: off.
// SoftTimeout sets it for one call.
func WithSoftTimeout(d time.Duration) Option { return func(o *Options) { o.load.softTimeout = d } }

// WithEarlyRefresh makes reads with a loader load values in the background shortly before they expire, so
// that nobody waits for the load, and many readers do not load at once when a value has expired. A
// read that finds a value whose TTL ends in r does so if −ln(u) × beta × δ is r or more. u is a random number
// in (0, 1], and δ the mean time of the cache's loads, which it measures. So a value that is read often is
// loaded a few δ earlier than it expires, and a value that is read seldom just expires. This is XFetch
// (Vattani, Chierichetti, Lowenstein, VLDB 2015), which calls beta = 1 optimal. More than 1 loads earlier.
//
// The read returns the value that it has found. Only reads in the last 20 × beta × δ of the TTL draw, and only
// those in its last half: half of what was left of the TTL when the value came to the local level. Other
// hits cost nothing. The background load reads the remote first. If another node has put a newer value there,
// that is taken. With WithLease, one node loads, and the others go on with what they have. If the value
// has changed, other nodes are told, as for a refresh. A key has one such load at a time. Its loader has
// the time of WithLoadTimeout, or 30s. If it fails, the key is not drawn for before a pause, which grows up to 1
// minute.
//
// It holds for Once, T.Get, MGet and what is built on them, with a loader. It has no effect on Get, with
// SetNX, on values that do not expire, on placeholders, while the remote gives no answer, and in a remote that
// tells no TTLs. It needs a local store that is a local.StaleKeeper, as those of package local are, or no
// local level at all. Keys with Refresh(true) are also refreshed by their interval.
//
// Default, and for zero: off, because an original cache loads only what has expired. New panics if beta is
// below zero or not a number. EarlyRefresh sets it for one call.
func WithEarlyRefresh(beta float64) Option { return func(o *Options) { o.load.earlyBeta = beta } }

// EarlyRefresh is WithEarlyRefresh for one call: for the value that it reads, and for the value that it
// stores, of which later calls may draw. Default, and for zero: that of the cache. Below zero, and not a
// number: off.
func EarlyRefresh(beta float64) ItemOption {
	if math.IsNaN(beta) {
		beta = -1
	}
	return ItemOption{kind: itemEarlyRefresh, beta: beta}
}

// betaOf returns the beta of a call. A load that stores only if the key is absent replaces nothing.
func (c *jetCache) betaOf(opts *item) float64 {
	beta := opts.earlyBeta
	if beta == 0 {
		beta = c.Options.load.earlyBeta
	}
	if beta <= 0 || opts.condition == record.IfAbsent {
		return 0
	}
	c.local.KeepStale()
	return beta
}

// StaleOnError is WithStaleOnError for one call: for the value that it reads, and for the life of the
// value that it stores. Default, and for zero: that of the cache. Below zero: off.
func StaleOnError(maxStale time.Duration) ItemOption {
	return ItemOption{kind: itemStaleOnError, ttl: maxStale}
}

// StaleWhileRevalidate is WithStaleWhileRevalidate for one call: for the value that it reads, and for the
// life of the value that it stores. Default, and for zero: that of the cache. Below zero: off.
func StaleWhileRevalidate(window time.Duration) ItemOption {
	return ItemOption{kind: itemStaleWhile, ttl: window}
}

// SoftTimeout is WithSoftTimeout for one call. Default, and for zero: that of the cache. Below zero: off.
func SoftTimeout(d time.Duration) ItemOption { return ItemOption{kind: itemSoftTimeout, ttl: d} }

// staleOf returns for how long a call uses values beyond their TTLs.
func (c *jetCache) staleOf(opts *item) load.Stale {
	l := &c.Options.load
	s := load.Stale{OnError: orOf(opts.staleOnError, l.staleOnError), While: orOf(opts.staleWhile, l.staleWhile), If: l.staleIf}
	if s.OnError > 0 || s.While > 0 {
		c.local.KeepStale()
	}
	return s
}
