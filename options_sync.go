package cache

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/coherence"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// syncOptions are the options of what keeps the local levels of a fleet in step.
type syncOptions struct {
	channel   string
	bus       remote.Bus
	loads     bool
	heartbeat time.Duration

	doubtTimeout time.Duration

	track    bool
	prefixes []string

	// Set by resolve.
	linked, tracked bool
	own             bool   // the bus is the remote itself
	token           string // the key of the channel's token, "" if it has none
	members         string // the key of the channel's members, "" if it has no token
}

const (
	defaultSyncHeartbeat = 500 * time.Millisecond
	minSyncHeartbeat     = 50 * time.Millisecond
	defaultDoubtTimeout  = 100 * time.Millisecond
	// syncChannelPrefix makes the default channel of the name of a cache.
	syncChannelPrefix = "jetcache:sync:"
)

// config completes the configuration of what keeps the local levels of a fleet in step.
func (s *syncOptions) config(o *Options, cfg coherence.Config) coherence.Config {
	cfg.Linked, cfg.Bus, cfg.Channel, cfg.Heartbeat = s.linked, s.bus, s.channel, s.heartbeat
	cfg.SourceID, cfg.Instance = o.sourceID, randomToken()
	cfg.Prefixes = s.prefixes
	if carrier, ok := o.remote.(remote.Carrier); ok && s.own && o.maxLoad > 0 { // the scripts of fences carry
		cfg.Carries = carrier.Carries(s.channel)
	}
	if !s.tracked {
		cfg.Track = nil
	}
	return cfg
}

// resolve puts in the defaults and says what is on. It panics for what cannot be.
func (s *syncOptions) resolve(o *Options) {
	given := s.channel != "" || s.bus != nil // the user asks for the link
	if s.channel == "" {
		s.channel = syncChannelPrefix + o.name
	}
	positive(&s.heartbeat, defaultSyncHeartbeat)
	s.heartbeat = max(s.heartbeat, minSyncHeartbeat)
	positive(&s.doubtTimeout, defaultDoubtTimeout)
	if s.track {
		needsRemote(o.remote, "WithTracking", "it is what tells of changed keys")
	}
	if o.remote == nil {
		return
	}
	if s.track && o.local != nil {
		if _, ok := o.remote.(remote.Tracker); !ok {
			panic(fmt.Sprintf("cache: New: WithTracking needs a remote that is a remote.Tracker, as the go-redis adapter is; a %T is not; leave it out and use WithSyncLocal(true)", o.remote))
		}
		s.tracked = true
	}
	if !o.syncLocal {
		return
	}
	if s.bus == nil {
		s.bus, s.own = o.remote.(remote.Bus)
	}
	if given && s.bus == nil {
		panic(fmt.Sprintf("cache: New: WithSyncChannel needs a remote that is a remote.Bus, as the go-redis adapter is; a %T is not; give a bus by WithSyncBus", o.remote))
	}
	// With a handler, that sends the events, as in the library that this one replaces. What
	// tracking hears need not be told again.
	s.linked = s.bus != nil && (given || o.eventHandler == nil && !s.tracked)
	if s.linked {
		s.token, _ = remote.TokenKey(s.channel)
		s.members, _ = remote.MembersKey(s.channel)
	}
}

// WithSyncChannel sets the channel on which WithSyncLocal tells other nodes of changes. The
// messages are the JSON of an Event, with additions. With WithEventHandler, the cache then both
// tells by the channel and calls the handler. Default, and for "": "jetcache:sync:" and the cache's
// name, and no channel if there is a handler. It has no effect without WithSyncLocal(true). New
// panics if the remote is no remote.Bus and WithSyncBus is not given.
func WithSyncChannel(name string) Option { return func(o *Options) { o.sync.channel = name } }

// WithSyncBus sets what carries the messages of WithSyncLocal, in place of the remote. Use it for a
// fleet that has a message system of its own, or for a Remote that is not Redis. Default: the remote,
// if it is a remote.Bus, as the adapter for go-redis is. A type that embeds the adapter, and a bus that
// embeds a remote.Sequencer, need a method SequencerOf, or their nodes send each other heartbeats: see
// remote.Sequencer. It has no effect without WithSyncLocal(true). New panics if bus is nil.
func WithSyncBus(bus remote.Bus) Option {
	return func(o *Options) {
		if bus == nil {
			panic("cache: New: WithSyncBus was given nil; leave it out to use the remote")
		}
		o.sync.bus = bus
	}
}

// WithSyncLoads makes WithSyncLocal also tell other nodes of what was loaded after a miss, or by a
// refresh that changed nothing. Use it if other programs remove keys from the remote without telling.
// Default: false, because then no node has anything older in its local level.
func WithSyncLoads(on bool) Option { return func(o *Options) { o.sync.loads = on } }

// WithSyncHeartbeat sets how often a node checks that no message of other nodes is missing. Three
// checks that fail in a row count as lost messages, so a broken link can go unnoticed for four
// heartbeats at most. A check is one small command and one ping for each process and client; the
// caches over one client share it, and the shortest heartbeat counts. On a bus that is no
// remote.Sequencer, nodes send heartbeats to each other, so large fleets want a longer one there, and
// all nodes should have the same. Default, and for zero or less: 500ms. Less than 50ms becomes 50ms. It
// has no effect without WithSyncLocal(true).
func WithSyncHeartbeat(d time.Duration) Option { return func(o *Options) { o.sync.heartbeat = d } }

// WithDoubtTimeout sets how long a read waits for the remote to say whether a local entry that is in
// doubt is out of date: messages about changes of it may have been lost, by WithSyncLocal or WithTracking.
// Then the read returns the entry. From then on, and until the remote answers, one such read at a time
// asks the remote; all others return what the local level has, at once. An answer that comes later still
// replaces the entry, so that at most reads in between get the old one. A longer time lets a
// slow remote be heard, and a shorter one lets reads wait less for a remote that hangs. It should be
// several times as long as the remote takes for an answer: a remote that is slower counts as one that
// cannot be reached. Reads of keys that the local level does not have are not affected. Default, and for
// zero or less: 100ms. It has no effect without WithSyncLocal(true) or WithTracking.
func WithDoubtTimeout(d time.Duration) Option { return func(o *Options) { o.sync.doubtTimeout = d } }

// WithTracking makes the remote itself tell this node which keys have changed. It uses Redis'
// server-assisted client-side caching (CLIENT TRACKING in broadcasting mode) for the keys that begin
// with one of prefixes, or for all keys if there are no prefixes. The node hears of changes by any
// client, of expiry, and of FLUSHDB. So changes need not be told, and WithSyncLocal(true) tells them
// only if WithSyncChannel or WithSyncBus is given, too.
//
// Name every prefix of the cache's keys. The node does not hear of changes of other keys; if it keeps
// such a key locally, it logs an error.
//
// It needs a cache with both levels, and Redis 6 or later. If the server or its permissions do not
// allow it, that is logged as an error, the local level is used only when the remote does not
// answer, and SyncStateOf says why. Then use WithSyncLocal(true) instead. New panics if there is no
// remote, if the remote is no remote.Tracker, or if one prefix begins with another one. Default: off.
func WithTracking(prefixes ...string) Option {
	prefixes = slices.Clone(prefixes)
	slices.Sort(prefixes)
	prefixes = slices.Compact(prefixes)
	return func(o *Options) {
		for i, p := range prefixes {
			for _, q := range prefixes[i+1:] {
				if strings.HasPrefix(q, p) {
					panic(fmt.Sprintf("cache: New: WithTracking was given %q and %q, but the one covers the other; leave the longer one out", p, q))
				}
			}
		}
		o.sync.track, o.sync.prefixes = true, prefixes
	}
}

// WithFence keeps values that are older than a change out of the remote, across the fleet. If the key
// of a load, a refresh or a Set with Do is changed meanwhile, on whatever node, the value is not
// stored. The caller still gets it. maxLoad is the time that the slowest load may take: the value of
// a load that takes longer is not stored either. All nodes that change or load the same keys should
// have this option, with about the same maxLoad. Stored values look as they do without it, and nodes
// without it go on as they did.
//
// Beside each key that is loaded or changed there is a small key in the same hash slot: "{key}#f", or
// "key#f" if the key has a hash tag. It lives for twice maxLoad. A load takes one more round trip to
// the remote, and none more with WithLease; hits and changes take none. Keys that have a "}" but no hash
// tag, and keys that have the name of such a small key, are ErrInvalidKey. It needs Redis 6 or later.
//
// A change that go-redis or the network carries out twice takes effect once. With WithSyncLocal on a
// single Redis, a change and its message are one round trip.
//
// If a Set or Delete cannot change a key in the remote, the key is removed in the background as soon
// as the remote answers. Until then this node does not read it from there (ErrRemoteUncertain).
//
// Default: off. New panics if maxLoad is not positive, if there is no remote, or if the remote is no
// remote.Fencer, as the adapter for go-redis is.
func WithFence(maxLoad time.Duration) Option {
	return func(o *Options) {
		if maxLoad <= 0 {
			panic(fmt.Sprintf("cache: New: WithFence was given %s; give the time that the slowest load may take", maxLoad))
		}
		o.maxLoad = maxLoad
	}
}

// WithLease makes one node of the fleet load a key that several nodes miss. That node takes a lease
// for ttl, in a key beside the key: "{key}#l", or "key#l" if the key has a hash tag. The other nodes
// wait until the value is in the remote, but no longer than ttl or their ctx. They look again and
// again, less and less often, and at once when the link of WithSyncLocal tells them. The lease of a
// node that died runs out. If the load fails, the nodes that wait get an ErrLoadElsewhere, and later
// calls load. If its value is not stored, the nodes that wait load at once. A miss takes two more
// round trips to the remote, or one with WithFence and the adapter for go-redis. A batch may call its
// loader more than once.
//
// Leases save loads. Nothing needs them to be correct; for that see WithFence. Refreshes have a lock
// of their own. It needs Redis 6 or later.
//
// ttl should be somewhat longer than most loads take. It has no effect for items with a TTL below
// zero. Default: off. New panics if ttl is not positive, if there is no remote, or if the remote is no
// remote.Leaser, as the adapter for go-redis is.
func WithLease(ttl time.Duration) Option {
	return func(o *Options) {
		if ttl <= 0 {
			panic(fmt.Sprintf("cache: New: WithLease was given %s; give the time that most loads take, and somewhat more", ttl))
		}
		o.leaseTTL = ttl
	}
}
