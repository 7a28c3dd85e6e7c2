// Package cache is a two-level cache: a local store in the process in front of a remote
// store that the fleet shares.
//
// New makes a Cache from a local store (package local), a remote one (package remote), or
// both. Once reads through it: local, then remote, then one load for all concurrent
// callers, then write-back. T is a typed view for entities with ids, with MGet for
// batches.
//
// Every method of a Cache may be called from any goroutine, also after Close. A nil ctx
// means context.Background().
package cache

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/json"      // the codec "json"
	_ "github.com/mgtv-tech/jetcache-go/encoding/msgpack" // the codec "msgpack"
	"github.com/mgtv-tech/jetcache-go/internal/coherence"
	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/lease"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/load"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/internal/repair"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// What CacheType returns.
const (
	TypeLocal  = "local"
	TypeRemote = "remote"
	TypeBoth   = "both"
)

// Errors of a cache; match them with errors.Is.
var (
	// ErrCacheMiss is returned by Get, GetSkippingLocal, and by Once, T.Get and
	// T.MGetWithErr without a loader, for a key that no level has.
	ErrCacheMiss = errors.New("cache: key is missing")

	// ErrRemoteLocalBothNil is returned by every call of a cache that was made without
	// WithRemote and without WithLocal.
	ErrRemoteLocalBothNil = errors.New("cache: both remote and local are nil")

	// ErrNotFound is the error by which loaders say, and reads report, that a record does not
	// exist, unless WithErrNotFound is given.
	ErrNotFound = errors.New("cache: record not found")

	// ErrInvalidKey is returned by every call for an empty key, for one that is longer than
	// WithMaxKeyBytes allows, and for one that is not valid UTF-8, because events could not
	// carry it to other nodes. With WithFence or WithLease it is also returned for a key that
	// has a "}" but no hash tag, because no key beside it can be in its hash slot, and for a key
	// that is the name of a fence, of a lease or of the members of a channel: one that ends in
	// "#f", "#l" or "#who" and has a hash tag before that, such as "{user:1}#f".
	ErrInvalidKey = errors.New("cache: the key is not valid")

	// ErrInvalidDestination is returned by Get, GetSkippingLocal and Once if the destination
	// is neither nil nor a pointer, or is a nil pointer of some type. Nothing has been read
	// or loaded then.
	ErrInvalidDestination = errors.New("cache: the destination must be a non-nil pointer")

	// ErrReservedValue is returned by Set for a value whose stored form is the single byte
	// "*", which stands for a record that does not exist. Store the value in another form,
	// for example in a struct. To store a placeholder on purpose, call Set with a Do that
	// returns the not-found error.
	ErrReservedValue = errors.New(`cache: the value is stored as "*", which is the placeholder of a record that does not exist`)

	// ErrInvalidOption is returned by the methods of T that take ItemOptions for one that has
	// no place in the call. Nothing has been read or written then.
	ErrInvalidOption = errors.New("cache: an option has no place in this call")

	// ErrLoaderCycle is returned by Once and by T to a loader that asks for its own key, or
	// for a key whose loader waits for it. It also reaches other goroutines that use the ctx
	// which the loader was given.
	ErrLoaderCycle = flight.ErrCycle

	// ErrRemoteUncertain is wrapped by the errors of reads for a key that a Set or Delete of
	// this cache failed to change in the remote: what the remote has may be out of date. With
	// WithFence, WithRemoteTimeout or WithRemoteBreaker, the key is removed in the background as soon
	// as the remote answers again. Until then, reads with a loader load it.
	ErrRemoteUncertain = fence.ErrUncertain

	// ErrRemoteUnavailable is wrapped by the errors of calls that would need the remote while a
	// breaker is open (WithRemoteBreaker): of Set, Delete and what is built on them, of reads
	// without a loader, and of other reads if WithRemoteDown says so. MGetWithErr also returns it
	// beside what it has loaded. The remote has not been called.
	ErrRemoteUnavailable = level.ErrUnavailable

	// ErrLoadElsewhere is wrapped by the errors of reads that waited for the load of another
	// node (WithLease), which failed. The text of that node's error is in it.
	ErrLoadElsewhere = lease.ErrElsewhere

	// ErrNotTold is wrapped by the errors of Set, Delete and what is built on them if the change
	// was made but the other nodes could not be told of it: for a moment, they may go on serving
	// what they have in their local levels. The message is sent again until it arrives, or until
	// Close gives it up. If Close gives it up, or this process dies before, the other nodes notice
	// it as lost messages, and check their local entries. They miss it if this node had not reached
	// the bus for three heartbeats before the change, or if the bus has tokens but no members
	// (remote.Presence).
	ErrNotTold = errors.New("cache: the change was made, but other nodes have not been told yet")
)

// PanicError is the error that every waiting caller gets when a loader panics. It unwraps
// to what was given to panic if that is an error.
type PanicError = flight.PanicError

// Cache is a two-level cache. New makes one.
type Cache interface {
	// Set stores the Value, or what Do returns, in the remote and then in the local level.
	// Without either, it stores no bytes, as for nil. If Do returns the not-found error, Set
	// stores a placeholder and returns nil. If the remote cannot be written, Set returns its
	// error and drops the local entry. A write that SetNX or SetXX refuses changes nothing and
	// returns nil.
	//
	// What Do returns may be older than a change of the key that was made while Do ran:
	//   - After a Set of a Value, or a Delete, this Set changes nothing.
	//   - After another Set with Do, or a DeleteFromLocalCache, nobody knows which value is
	//     the newest. This Set then deletes the key, so that the next read loads it. With
	//     SetNX or SetXX it changes nothing. With a TTL below zero it removes only the local
	//     entry.
	// In all these cases it returns nil.
	Set(ctx context.Context, key string, opts ...ItemOption) error

	// Once decodes the key's value into the pointer given by Value. It reads local, then
	// remote, then calls Do, once for all concurrent callers, and stores the result in
	// both levels. Each caller decodes a copy of its own, and leaves when its ctx ends.
	// The load goes on as long as any caller is left.
	//
	// The error of Do is returned to all callers and is not cached. The not-found error is
	// an exception: a placeholder remembers it. A panic of Do is returned as a *PanicError.
	// A remote that cannot be read counts as a miss. Without Do, a miss is ErrCacheMiss.
	// Stored bytes that cannot be decoded are loaded again and overwritten; without Do they
	// are an error.
	//
	// All DoFuncs that are used with one key must load the same value; see DoFunc.
	Once(ctx context.Context, key string, opts ...ItemOption) error

	// Get decodes the key's value into val, a pointer, or nil to decode nothing. It
	// returns ErrCacheMiss if no level has the key, the not-found error for a
	// placeholder, and the remote's error if that cannot be read.
	Get(ctx context.Context, key string, val any) error

	// GetSkippingLocal is Get that neither reads nor fills the local level.
	GetSkippingLocal(ctx context.Context, key string, val any) error

	// Delete removes the key from both levels and ends its refreshing. Loads and reads that
	// began before never put their value back. It returns the remote's error, if there is
	// one; the local entry is removed also then.
	Delete(ctx context.Context, key string) error

	// DeleteFromLocalCache removes the key from the local level of this node. Call it when
	// another node's event says that the key has changed.
	DeleteFromLocalCache(key string)

	// Exists reports whether Get would return no error.
	Exists(ctx context.Context, key string) bool

	// TaskSize returns how many keys are being refreshed in the background.
	TaskSize() int

	// CacheType returns TypeLocal, TypeRemote or TypeBoth, and "" for a cache without a
	// level.
	CacheType() string

	// Close ends the refreshing, waits for the loads that are running, and then for the events
	// that have not been delivered. It waits for 5s at most for each of these, and logs what
	// has not ended by then. It does not close the local store or the Redis client. It may be
	// called again, and then does not wait again for what has not ended. Later calls of other
	// methods work, but refresh no keys. A loader or an event handler that calls Close waits
	// for itself, for these 5s.
	Close()
}

// jetCache is the Cache that New makes.
type jetCache struct {
	Options
	codec   encoding.Codec
	matcher encoding.FieldMatcher // nil if the codec is none
	owner   *owner
	observe *observe.Observer
	flights *flight.Table[record.Outcome]
	local   *level.Local
	remote  *level.Remote
	fence   fence.Policy
	path    *load.Path
	quiet   *load.Path      // of loads in the background that readers have begun
	sync    *coherence.Sync // nil if the local level follows nobody
	told    *announcer
	refresh *refresher // nil if refreshing is off

	damage     *observe.Line // of values that cannot be decoded
	failures   *observe.Line // of MGet
	background *observe.Line // of loads in the background
	warned     warned
	ownStats   *stats.Stats    // the default statistics; nil if there are none
	closing    sync.Mutex      // held by Close
	ending     context.Context //nolint:containedctx // ends with the cache, and with it what runs in the background
	end        context.CancelFunc
}

// warned says which warnings the cache has logged. Each is logged once.
type warned struct {
	refresh  sync.Once // Refresh(true) that has no effect
	notFound sync.Once // an error that seems to say that a record does not exist
	shapes   sync.Map  // by reflect.Type: fields that are not stored
}

// owner stands for a cache in the entries of its local store, which may outlive it.
type owner struct{ _ byte }

var _ Cache = (*jetCache)(nil)

func init() { //nolint:gochecknoinits // New has to find "sonic" without an import
	// Until the package encoding/sonic is imported, the standard library writes and reads the same
	// JSON. If that package is initialised before or after this one, its codec wins.
	if encoding.GetCodec("sonic") == nil {
		encoding.RegisterCodec(json.Unescaped("sonic"))
	}
}

// New returns a cache. It panics if an option cannot be right, with a sentence that names
// it. A cache without WithRemote and without WithLocal is accepted; its calls return
// ErrRemoteLocalBothNil.
func New(opts ...Option) Cache {
	o := resolveOptions(opts)
	c := &jetCache{
		Options: o,
		codec:   encoding.GetCodec(o.codec),
		owner:   new(owner),
		flights: flight.NewTable[record.Outcome](),
		local:   level.NewLocal(o.local),
		damage:  observe.NewLine(), failures: observe.EverySecond(), background: observe.NewLine(),
	}
	if c.codec == nil {
		panic(fmt.Sprintf("cache: New: WithCodec(%q): no codec of that name is registered; import its package, or call encoding.RegisterCodec before New", o.codec))
	}
	c.matcher, _ = c.codec.(encoding.FieldMatcher)
	c.observe = observe.New(o.name, c.statistics(), o.logger)
	c.remote = level.NewRemote(o.remote, level.Lifetime{Value: o.remoteExpiry, Placeholder: o.notFoundExpiry}, c.observe)
	c.remote.Guard(o.outage.guards())
	c.ending, c.end = context.WithCancel(context.Background())
	c.wire()
	if o.refreshDuration > 0 {
		c.refresh = newRefresher(c)
	}
	c.warnOfOptions()
	c.sync.Start()
	// A cache that is dropped without Close leaves nothing running.
	if c.sync != nil {
		runtime.AddCleanup(c, func(s *coherence.Sync) { go s.Close(closeTimeout) }, c.sync)
	}
	return c
}

// statistics returns what counts for the cache.
func (c *jetCache) statistics() stats.Handler {
	switch {
	case c.statsGiven:
		return c.statsHandler
	case c.statsDisabled:
		return stats.NewHandles(true)
	}
	opts := []stats.Option{stats.WithSpreadCounters()}
	if c.logger != nil {
		opts = append(opts, stats.WithLogger(c.logger))
	}
	h := stats.NewStatsLogger(c.name, opts...)
	c.ownStats, _ = h.(*stats.Stats)
	return h
}

// wire connects the parts of the cache. What runs in the background holds the parts that it
// needs, and not the cache, so that a cache which nobody uses any more can go.
func (c *jetCache) wire() {
	flights, local, o := c.flights, c.local, &c.Options
	var leases lease.Policy = lease.Off{}
	drop := func(keys []string) {
		for _, key := range keys {
			flights.Invalidate(key, func() { local.Del(key) })
		}
		leases.Wake(keys)
	}
	c.sync = coherence.New(o.sync.config(o, coherence.Config{
		Observe: c.observe, Local: local, Part: flights.Part, Drop: drop,
		Wake:    func(keys []string) { leases.Wake(keys) },
		Track:   c.remote.Track,
		Compare: comparer(c.remote, local, flights),
	}))
	c.remote.Doubts, c.remote.Writing = local.Doubts, c.sync.Writing()
	c.told = &announcer{sync: c.sync, loads: o.sync.loads}
	if o.syncLocal && o.eventHandler != nil && c.CacheType() == TypeBoth {
		c.told.events = newEventQueue(o, c.observe)
	}
	c.fence = fence.Off{Remote: c.remote}
	if o.maxLoad > 0 {
		c.fence = fence.New(c.remote, o.maxLoad, c.observe)
	}
	if o.maxLoad > 0 || o.outage.guarded() {
		c.fence = repair.New(c.fence, c.remote, c.observe, c.told.removed)
	}
	if o.leaseTTL > 0 {
		leases = lease.New(c.remote, lease.Config{
			TTL: o.leaseTTL, FenceTTL: fence.Lifetime(o.maxLoad),
			Token: randomToken, Tell: c.sync.TellFilled, Hears: c.sync.Hears,
		})
	}
	c.path = &load.Path{
		Local: local, Remote: c.remote, Fence: c.fence, Lease: leases, Observe: c.observe, Tell: c.told.loaded,
		RemoteExpiry: o.remoteExpiry, NotFoundExpiry: o.notFoundExpiry, Offset: o.offset, TTLJitter: o.entry.ttlJitter, DoubtTimeout: o.sync.doubtTimeout,
		Slots: o.load.slots(), Early: &load.Early{Lock: o.leaseTTL}, Sizes: o.entry.sizes(), Dropped: c.told.removed, Failures: &load.Failures{Pause: cmp.Or(o.load.staleRetry, defaultStaleRetry)},
		Down: load.Down(o.outage.down),
	}
	quiet := *c.path
	quiet.Observe = c.observe.Background()
	c.quiet = &quiet
}

func (c *jetCache) CacheType() string {
	switch {
	case c.local.Exists() && c.remote.Exists():
		return TypeBoth
	case c.local.Exists():
		return TypeLocal
	case c.remote.Exists():
		return TypeRemote
	}
	return ""
}

// begin is what every call starts with: it checks the cache and the key, and replaces a
// nil ctx.
func (c *jetCache) begin(ctx context.Context, key string) (context.Context, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if !c.local.Exists() && !c.remote.Exists() {
		return ctx, ErrRemoteLocalBothNil
	}
	return ctx, c.checkKey(key)
}

func (c *jetCache) TaskSize() int { return c.refresh.size() }

// closeTimeout bounds how long Close waits for each of the things that it ends.
const closeTimeout = 5 * time.Second

func (c *jetCache) Close() {
	c.closing.Lock() // calls of Close at the same time wait for each other
	defer c.closing.Unlock()
	c.end()
	c.refresh.close()
	if !c.flights.Wait(closeTimeout) {
		c.observe.Warn(nil, "closed, but after %s a load has not ended; its loader should end when its ctx does", closeTimeout)
	}
	began := time.Now()
	c.remote.Wait(closeTimeout) // for calls that nobody waits for any more: what they have changed may have to be repaired
	c.fence.Stop(closeTimeout)
	c.remote.Wait(time.Until(began.Add(closeTimeout)))
	c.told.events.close()
	c.sync.Close(closeTimeout)
	if c.ownStats != nil {
		c.ownStats.Close()
	}
}

// randomToken returns 16 random hexadecimal digits.
func randomToken() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}
