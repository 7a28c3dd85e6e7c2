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
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/mgtv-tech/jetcache-go/encoding"
	_ "github.com/mgtv-tech/jetcache-go/encoding/json"    // the codec "json"
	_ "github.com/mgtv-tech/jetcache-go/encoding/msgpack" // the codec "msgpack"
	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
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

	// ErrNotFound is what loaders return, and what reads return for a placeholder, where
	// WithErrNotFound is not given.
	ErrNotFound = errors.New("cache: record not found")

	// ErrInvalidKey is returned by every call for an empty key and for one that is not
	// valid UTF-8, which events could not carry to other nodes; with WithFence or WithLease
	// also for one that has a "}" but no hash tag: no key beside it can be in its slot.
	ErrInvalidKey = errors.New("cache: the key is not valid")

	// ErrInvalidDestination is returned by Get, GetSkippingLocal and Once if what to
	// decode into is not nil and no pointer, or a nil pointer of some type. Nothing has been
	// read or loaded then.
	ErrInvalidDestination = errors.New("cache: the destination must be a non-nil pointer")

	// ErrReservedValue is returned by Set for a value whose stored form is the single byte
	// "*", which stands for a record that does not exist. Store it in another form, such
	// as in a struct.
	ErrReservedValue = errors.New(`cache: the value is stored as "*", which is the placeholder of a record that does not exist`)

	// ErrInvalidOption is returned by the methods of T that take ItemOptions for one that has
	// no place in the call. Nothing has been read or written then.
	ErrInvalidOption = errors.New("cache: an option has no place in this call")

	// ErrLoaderCycle is returned by Once and by T to a loader that asks for what waits for
	// it: its own key, or one whose loader waits for it. That goes for everything that uses
	// the ctx which the loader was given.
	ErrLoaderCycle = flight.ErrCycle
)

// PanicError is the error that every waiting caller gets when a loader panics. It unwraps
// to what was given to panic if that is an error.
type PanicError = flight.PanicError

// Cache is a two-level cache. New makes one.
type Cache interface {
	// Set stores the Value, or what Do returns, in the remote and then in the local
	// level; without either, it stores no bytes, as for nil. If Do returns the not-found error, a placeholder is stored and Set returns
	// nil. If the remote cannot be written, Set returns its error and the local entry is
	// dropped. A write that SetNX or SetXX refuses changes nothing and returns nil.
	//
	// What Do returns may be older than a change of the key that was made while Do ran:
	//   - After a Set of a Value, or a Delete, this Set changes nothing.
	//   - After another Set with Do, or a DeleteFromLocalCache, it cannot be told which
	//     value is the newest. This Set then deletes the key, so that the next read loads
	//     it; with SetNX or SetXX it changes nothing, and with a TTL below zero it removes
	//     the local entry alone.
	// In all these cases it returns nil.
	Set(ctx context.Context, key string, opts ...ItemOption) error

	// Once decodes the key's value into the pointer given by Value. It reads local, then
	// remote, then calls Do, once for all concurrent callers, and stores the result in
	// both levels. Each caller decodes a copy of its own, and leaves when its ctx ends;
	// the load goes on as long as any caller is left.
	//
	// The error of Do is returned to all callers and not cached, but for the not-found
	// error, which is remembered by a placeholder. A panic of Do is returned as a
	// *PanicError. A remote that cannot be read counts as a miss. Without Do, a miss is
	// ErrCacheMiss.
	Once(ctx context.Context, key string, opts ...ItemOption) error

	// Get decodes the key's value into val, a pointer, or nil to decode nothing. It
	// returns ErrCacheMiss if no level has the key, the not-found error for a
	// placeholder, and the remote's error if that cannot be read.
	Get(ctx context.Context, key string, val any) error

	// GetSkippingLocal is Get that neither reads nor fills the local level.
	GetSkippingLocal(ctx context.Context, key string, val any) error

	// Delete removes the key from both levels and ends its refreshing. Loads and reads
	// that began before never put their value back. It returns the remote's error; the
	// local entry is gone all the same.
	Delete(ctx context.Context, key string) error

	// DeleteFromLocalCache removes the key from the local level of this node: what to do
	// when another node's event says that it has changed.
	DeleteFromLocalCache(key string)

	// Exists reports whether Get would return no error.
	Exists(ctx context.Context, key string) bool

	// TaskSize returns how many keys are being refreshed in the background.
	TaskSize() int

	// CacheType returns TypeLocal, TypeRemote or TypeBoth, and "" for a cache without a
	// level.
	CacheType() string

	// Close ends the refreshing, waits for the loads that are running, and then until the
	// events that wait have been delivered: for 5s at most each, and it logs what has not
	// ended by then. It does not close the local store nor the Redis client. It may be
	// called again, and does not wait again for what has not ended. Later calls of other
	// methods work, but refresh no keys. A loader or an
	// event handler that calls Close waits for itself, for these 5s.
	Close()
}

// jetCache is the Cache that New makes.
type jetCache struct {
	options
	codec   encoding.Codec
	stats   stats.Handler
	count   counter // of stats
	owner   *owner
	flights *flight.Table[outcome]
	local   localLevel
	remote  remoteLevel
	events  *eventQueue // nil: nobody listens
	syncer  *syncer     // nil: the local level is on its own
	refresh *refresher  // nil: refreshing is off

	ownStats *stats.Stats // the default statistics; nil: none
	closing  sync.Mutex   // held by Close
}

// owner stands for a cache in the entries of its local store, which may outlive it.
type owner struct{ _ byte }

var _ Cache = (*jetCache)(nil)

// sonicStandIn is the codec "sonic" until the package encoding/sonic is imported.
type sonicStandIn struct{ encoding.Codec }

func (sonicStandIn) Name() string { return "sonic" }

func init() {
	// encoding/sonic may have been initialised before or will be after: it wins.
	if encoding.GetCodec("sonic") == nil {
		encoding.RegisterCodec(sonicStandIn{encoding.GetCodec("json")})
	}
}

// New returns a cache. It panics if an option cannot be right, with a sentence that names
// it. A cache without WithRemote and without WithLocal is accepted; its calls return
// ErrRemoteLocalBothNil.
func New(opts ...Option) Cache {
	o := resolveOptions(opts)
	c := &jetCache{
		options: o,
		codec:   encoding.GetCodec(o.codec),
		stats:   o.statsHandler,
		owner:   new(owner),
		flights: flight.NewTable[outcome](),
		local:   newLocalLevel(o.local),
	}
	if c.codec == nil {
		panic(fmt.Sprintf("cache: New: WithCodec(%q): no codec of that name is registered; import its package, or call encoding.RegisterCodec before New", o.codec))
	}
	if !o.statsGiven {
		c.stats = stats.NewHandles(true)
		if !o.statsDisabled {
			c.stats = stats.NewStatsLogger(o.name, stats.WithSpreadCounters())
			c.ownStats, _ = c.stats.(*stats.Stats)
		}
	}
	c.count = newCounter(c.stats)
	c.initSync()
	c.remote.init(&o, c.stats)
	c.initRepairs()
	if o.syncLocal && o.eventHandler != nil && c.CacheType() == TypeBoth {
		c.events = newEventQueue(&o, c.stats)
	}
	if o.refreshDuration > 0 {
		c.refresh = newRefresher(c)
	}
	c.startSync()
	c.initLeases()
	return c
}

func (c *jetCache) CacheType() string {
	switch {
	case c.local.exists() && c.remote.exists():
		return TypeBoth
	case c.local.exists():
		return TypeLocal
	case c.remote.exists():
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
	if !c.local.exists() && !c.remote.exists() {
		return ctx, ErrRemoteLocalBothNil
	}
	return ctx, c.checkKey(key)
}

// checkKey is the function checkKey, and also says whether the key can have a fence and a lease
// where these are on.
func (c *jetCache) checkKey(key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	// Only with a "}" can there be something wrong, and most keys have none.
	if (c.remote.fenced() || c.remote.leases.store != nil) && strings.Contains(key, "}") {
		if _, ok := remote.FenceKey(key); !ok {
			return fmt.Errorf("%w: %q has a \"}\" but no hash tag, so nothing beside it can be in its slot of a cluster, and WithFence and WithLease need that; leave the \"}\" out, or put a part of the key in braces", ErrInvalidKey, key)
		}
	}
	return nil
}

func checkKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: it is empty", ErrInvalidKey)
	}
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: %q is not UTF-8 text; encode binary keys, for example in hexadecimal", ErrInvalidKey, key)
	}
	return nil
}

func (c *jetCache) Get(ctx context.Context, key string, val any) error {
	return c.get(ctx, key, val, false)
}

func (c *jetCache) GetSkippingLocal(ctx context.Context, key string, val any) error {
	return c.get(ctx, key, val, true)
}

func (c *jetCache) Exists(ctx context.Context, key string) bool {
	return c.get(ctx, key, nil, false) == nil
}

func (c *jetCache) get(ctx context.Context, key string, val any, skipLocal bool) error {
	ctx, err := c.begin(ctx, key)
	if err != nil {
		return err
	}
	if err := checkDestination(val); err != nil {
		return err
	}
	useLocal := c.local.exists() && !skipLocal
	if useLocal {
		if data, ok := c.local.get(key); ok {
			c.count.localHit()
			return c.deliver(key, data, val)
		}
		c.count.localMiss()
	}
	if !c.remote.exists() {
		c.count.miss()
		return ErrCacheMiss
	}
	var note flight.Note[outcome]
	if useLocal {
		note = c.flights.Note(key)
		defer note.Release()
	}
	v, found, err := c.remote.get(ctx, key, useLocal)
	if !found {
		c.count.remoteMiss()
		if useLocal {
			if data, ok := c.insteadOfRemote(note, key, err); ok {
				return c.deliver(key, data, val)
			}
		}
		c.count.miss()
		if err != nil {
			return fmt.Errorf("cache: reading %q: %w", key, err)
		}
		return ErrCacheMiss
	}
	c.count.remoteHit()
	if useLocal {
		c.fillRead(note, key, v)
	}
	return c.deliver(key, v.data, val)
}

// fillRead fills the local level with what was read from the remote, unless the read was
// overtaken.
func (c *jetCache) fillRead(note flight.Note[outcome], key string, v remoteValue) {
	note.FillRead(func() { c.local.set(key, v.data, v.left, v.asked) })
}

// insteadOfRemote returns what the local level has of a key that is in doubt, if the remote has
// failed with err. If the remote has not failed, it does not have the key: then it removes it.
func (c *jetCache) insteadOfRemote(note flight.Note[outcome], key string, err error) (data []byte, ok bool) {
	data, ok = c.local.getDoubted(key)
	switch {
	case !ok:
		return nil, false
	case err == nil:
		note.FillRead(func() { c.local.del(key) })
		return nil, false
	}
	c.count.localHit()
	return data, true
}

// deliver hands stored bytes to a caller.
func (c *jetCache) deliver(key string, data []byte, dst any) error {
	if isPlaceholder(data) {
		return c.errNotFound
	}
	return c.decode(key, data, dst)
}

func (c *jetCache) TaskSize() int { return c.refresh.size() }

func (c *jetCache) Close() {
	c.closing.Lock() // who closes at the same time waits, too
	defer c.closing.Unlock()
	c.refresh.close()
	if !c.flights.Wait(closeTime) {
		logger.Warn("cache %s: closed, but after %s a load has not ended; its loader should end when its ctx does", c.name, closeTime)
	}
	c.remote.fences.repairs.close(closeTime)
	c.events.close()
	c.syncer.close()
	if c.ownStats != nil {
		c.ownStats.Close()
	}
}
