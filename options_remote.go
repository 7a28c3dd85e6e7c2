package cache

import (
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/load"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// outageOptions are the options of what a remote costs that is slow or down.
type outageOptions struct {
	timeout time.Duration // zero if there is none
	breaker *Breaker      // nil if there is none
	down    RemoteDown
}

// guarded reports whether the calls of the remote are bounded.
func (o *outageOptions) guarded() bool { return o.timeout > 0 || o.breaker != nil }

// guards returns what bounds the calls of the remote.
func (o *outageOptions) guards() level.Guards {
	g := level.Guards{Timeout: o.timeout}
	if o.breaker != nil {
		b := level.Breaker(*o.breaker)
		g.Breaker = &b
	}
	return g
}

// resolve puts in the defaults. It panics for what cannot be.
func (o *outageOptions) resolve() {
	o.timeout = max(o.timeout, 0)
	if o.down > StaleOnly {
		panic(fmt.Sprintf("cache: New: WithRemoteDown was given %d; give LoadFromOrigin, FailFast or StaleOnly", o.down))
	}
	if o.breaker == nil {
		return
	}
	b := *o.breaker
	switch {
	case !(b.FailureRatio >= 0 && b.FailureRatio <= 1): // also not a number
		panic(fmt.Sprintf("cache: New: WithRemoteBreaker was given a FailureRatio of %v; give a number in (0, 1], or 0 for the default", b.FailureRatio))
	case b.MinCalls < 0:
		panic(fmt.Sprintf("cache: New: WithRemoteBreaker was given MinCalls of %d; give the number of calls, or 0 for the default", b.MinCalls))
	case b.Window < 0:
		panic(fmt.Sprintf("cache: New: WithRemoteBreaker was given a Window of %s; give a positive duration, or 0 for the default", b.Window))
	case b.OpenFor < 0:
		panic(fmt.Sprintf("cache: New: WithRemoteBreaker was given OpenFor of %s; give a positive duration, or 0 for the default", b.OpenFor))
	}
	if b.FailureRatio == 0 {
		b.FailureRatio = 0.5
	}
	if b.MinCalls == 0 {
		b.MinCalls = 20
	}
	positive(&b.Window, 10*time.Second)
	positive(&b.OpenFor, 5*time.Second)
	o.breaker = &b
}

// warn logs what is accepted, but costs more than it need, or has no effect.
func (o *outageOptions) warn(store remote.Remote, r *level.Remote, log *observe.Observer) {
	if o.timeout > 0 && r.Exists() && !r.HeedsContext() {
		log.Warn(nil, "WithRemoteTimeout is given, but a call of the remote, a %T, may go on when its ctx has ended; set ContextTimeoutEnabled in the options of the go-redis client, or make the remote a remote.ContextHeeder; until then each call takes a goroutine of its own, and if Redis is stopped, a call that has timed out holds a connection for 5s to 10s", store)
	}
	if o.down != LoadFromOrigin && o.breaker == nil {
		log.Warn(nil, "WithRemoteDown has no effect without WithRemoteBreaker, which finds out that the remote is down")
	}
}

// WithRemoteTimeout bounds each call of the remote: a single command, or a whole batch. After d it has
// failed. A read that has a loader loads then, and does not call the remote again. A change waits for
// other changes of its key for another d at most, so it takes 2*d.
//
// The error is a context.DeadlineExceeded, counts as a failure of the remote, and is logged. If the ctx of
// a caller ends before d, the call ends then, and the remote has not failed. So d should be less than the
// time that callers have, and several times as long as the remote takes for an answer: 50ms to 200ms suit
// most services.
//
// go-redis heeds a ctx only with the option ContextTimeoutEnabled. Set it: without it, and with a
// Remote that is no remote.ContextHeeder, each call takes a goroutine, in which it goes on after d. A
// Redis that has been stopped then holds connections of the client's pool for the timeouts and retries of
// the client, which is 5s to 10s and more for each. New logs a warning. 1,024 such calls may go on at a
// time; while they do, further calls fail at once.
//
// A change that has failed, or goes on, may still take effect. Its key is removed from the remote in the
// background, and this node does not read it from there until that is done (ErrRemoteUncertain). Up to
// 131,072 keys wait; more are logged as lost.
//
// Default, and for zero or less: none, because the timeouts are the client's. It has no effect without a
// remote. Messages of WithSyncLocal and WithTracking have timeouts of their own.
func WithRemoteTimeout(d time.Duration) Option { return func(o *Options) { o.outage.timeout = d } }

// Breaker says when a cache stops calling a remote that fails; see WithRemoteBreaker.
type Breaker struct {
	// FailureRatio is the part of the calls in Window that must have failed, in (0, 1]. Default: 0.5.
	FailureRatio float64
	// MinCalls is how many calls must have ended in Window before the ratio counts. Default: 20.
	MinCalls int
	// Window is how far back calls count. It moves on in tenths. Default: 10s.
	Window time.Duration
	// OpenFor is how long the remote is not called after that. Then one call is tried. Up to a tenth
	// is added, once for each breaker, so that the nodes of a fleet do not try together. Default: 5s.
	OpenFor time.Duration
}

// WithRemoteBreaker stops calling the remote when too many calls fail, so that a miss costs its load and
// nothing else. Reads have one breaker, and writes another: changes, write-backs, fences, leases and the locks
// of refreshes. After OpenFor, one call is made. If it succeeds, all are made again; otherwise none is
// for another OpenFor. Fields of b that are zero have their defaults.
//
// These count as failures: a connection that is refused or breaks, a timeout of the client, of its pool or
// of WithRemoteTimeout, any other error that is not a reply, and the replies LOADING, READONLY,
// MASTERDOWN, CLUSTERDOWN, TRYAGAIN and "max number of clients reached". A batch counts once, and fails
// if one of its keys does. Other replies, such as WRONGTYPE, and absent keys are successes. A call whose
// caller left before the timeout counts as neither.
//
// While the breaker of reads is open, WithRemoteDown says what a read does. Once and T load by default,
// and Get returns ErrRemoteUnavailable. While that of writes is open, Set and Delete drop the local entry
// and return ErrRemoteUnavailable. Their keys are remembered, as with WithRemoteTimeout: they are removed
// from the remote as soon as it answers, and this node does not read them there before. Calls
// that are not made are not counted as errors of the remote. Each change of the state is one line in the
// log.
//
// Default: none, because an original cache calls its remote every time. It has no effect without a
// remote. New panics if a field is negative, or if FailureRatio is more than 1. Combine it with
// WithRemoteTimeout: otherwise a failure is what the client takes for one, and that may take a minute.
func WithRemoteBreaker(b Breaker) Option { return func(o *Options) { o.outage.breaker = &b } }

// RemoteDown says what becomes of reads while the remote is down; see WithRemoteDown.
type RemoteDown uint8

// What becomes of a read of a key that the local level does not have.
const (
	// LoadFromOrigin calls the loader. The local level keeps the value for 5s, or for the item's
	// TTL if that is shorter, because other nodes cannot be relied on to tell of changes then.
	LoadFromOrigin = RemoteDown(load.LoadFromOrigin)
	// FailFast returns ErrRemoteUnavailable at once, and does not call the loader. Use it if the
	// origin cannot bear the load without the remote.
	FailFast = RemoteDown(load.FailFast)
	// StaleOnly is FailFast for keys of which the local level has no stale value.
	StaleOnly = RemoteDown(load.StaleOnly)
)

// WithRemoteDown sets what Once, T.Get and MGet do for a key that the local level does not have, while the
// breaker of the remote's reads is open. Refreshes, and RefreshNow, do the same. Set with Do calls its Do
// whatever the policy is. Default: LoadFromOrigin, because callers get their values then. New panics for
// another value than the three. It has no effect without WithRemoteBreaker.
func WithRemoteDown(policy RemoteDown) Option { return func(o *Options) { o.outage.down = policy } }

// WithResilience is the setting that suits a typical service: callers have some 200ms or more, Redis
// answers within milliseconds and the loader within tens of them. It is the same as these options:
//
//   - WithRemoteTimeout(100ms): a call that Redis has not answered by then will hardly be answered, and half
//     of a caller's time is left for the load.
//   - WithRemoteBreaker(Breaker{}): after 20 calls within 10s of which half have failed, a miss costs its
//     load and nothing else. WithRemoteDown is not set, so keys are loaded while Redis is down.
//   - WithStaleOnError(10m): long enough for most failovers of a database, and short enough that a
//     value which has not been confirmed for so long is not taken for the truth.
//   - WithSoftTimeout(150ms): the time of a look that has failed, and some time for the load. A load that
//     takes longer than that goes on in the background, and its readers get the value that has expired.
//   - WithLoadTimeout(5s): longer than almost any query for one entity takes, and far less than
//     a driver waits for a database that has gone.
//
// An option of these that is given beside it wins, before it or after it; WithStaleOnError(0) switches
// stale values off. It does not set WithLoadConcurrency, because the right number is that of the
// connections to the database. It does not set WithStaleWhileRevalidate either, which makes
// values older while nothing is wrong. Set ContextTimeoutEnabled in the options of the go-redis client,
// as for WithRemoteTimeout.
func WithResilience() Option { return func(o *Options) { o.resilient = true } }

// resilience returns the options that WithResilience stands for.
func resilience() []Option {
	return []Option{
		WithRemoteTimeout(100 * time.Millisecond),
		WithRemoteBreaker(Breaker{}),
		WithStaleOnError(10 * time.Minute),
		WithSoftTimeout(150 * time.Millisecond),
		WithLoadTimeout(5 * time.Second),
	}
}
