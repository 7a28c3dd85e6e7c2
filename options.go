package cache

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/jitter"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// Defaults of the options.
const (
	defaultName               = "default"
	defaultCodec              = "msgpack"
	defaultRemoteExpiry       = time.Hour
	defaultNotFoundExpiry     = time.Minute
	defaultRefreshConcurrency = 4
	defaultMaxRefreshTasks    = 10_000
	minRefreshTimeout         = 30 * time.Second
	defaultEventBuffer        = 100
	defaultSeparator          = ":"
	minRefreshDuration        = time.Second
)

// Option configures a cache; see New.
type Option func(*Options)

// Options is what the Options of one cache have set. It has no exported field: use the functions
// whose names begin with With.
type Options struct {
	name              string
	remote            remote.Remote
	local             local.Local
	codec             string
	errNotFound       error   // what reads return: the first of errsNotFound
	errsNotFound      []error // what loaders return
	remoteExpiry      time.Duration
	notFoundExpiry    time.Duration
	offset            time.Duration
	separator         string
	separatorDisabled bool
	shared            map[reflect.Type]sharing // of values that a local store keeps decoded

	refreshDuration            time.Duration
	stopRefreshAfterLastAccess time.Duration
	refreshConcurrency         int
	refreshTimeout             time.Duration
	maxRefreshTasks            int

	logger        logger.Logger // nil stands for the package logger
	statsHandler  stats.Handler
	statsGiven    bool
	statsDisabled bool

	sourceID     string
	syncLocal    bool
	eventBuffer  int
	eventHandler func(*Event)

	maxLoad time.Duration // zero if there are no fences

	leaseTTL time.Duration

	entry     entryOptions
	load      loadOptions
	sync      syncOptions
	outage    outageOptions
	resilient bool
}

// resolveOptions applies opts and checks the result. It panics where an option cannot
// be right.
func resolveOptions(opts []Option) Options {
	o := Options{separator: defaultSeparator}
	o.apply(opts)
	if o.resilient { // the options that are given win, wherever they stand
		o = Options{separator: defaultSeparator}
		o.apply(resilience())
		o.apply(opts)
	}
	if o.statsGiven && o.statsHandler == nil {
		panic("cache: New: WithStatsHandler was given nil; leave it out for the default, or use WithStatsDisabled(true)")
	}
	if o.eventBuffer < 0 {
		panic(fmt.Sprintf("cache: New: WithEventChBufSize was given %d; give the number of events that may wait, or 0 for the default", o.eventBuffer))
	}
	orDefault(&o.name, defaultName)
	orDefault(&o.codec, defaultCodec)
	if o.sourceID == "" {
		o.sourceID = randomToken()
	}
	if len(o.errsNotFound) == 0 {
		o.errsNotFound = []error{ErrNotFound}
	}
	o.errNotFound = o.errsNotFound[0]
	positive(&o.remoteExpiry, defaultRemoteExpiry)
	positive(&o.notFoundExpiry, defaultNotFoundExpiry)
	positive(&o.offset, jitter.Default(o.notFoundExpiry))
	if o.refreshDuration > 0 {
		o.refreshDuration = max(o.refreshDuration, minRefreshDuration)
	} else {
		o.refreshDuration = 0
	}
	positive(&o.stopRefreshAfterLastAccess, o.refreshDuration+time.Second)
	positive(&o.refreshConcurrency, defaultRefreshConcurrency)
	positive(&o.refreshTimeout, max(o.refreshDuration, minRefreshTimeout))
	positive(&o.maxRefreshTasks, defaultMaxRefreshTasks)
	positive(&o.eventBuffer, defaultEventBuffer)
	if o.separatorDisabled {
		o.separator = ""
	}
	o.refuseNilPointers()
	o.entry.resolve()
	o.load.resolve()
	o.sync.resolve(&o)
	o.outage.resolve()
	if o.maxLoad > 0 {
		needsRemote(o.remote, "WithFence", "fences are keys in it")
		if _, ok := o.remote.(remote.Fencer); !ok {
			panic(fmt.Sprintf("cache: New: WithFence needs a remote that is a remote.Fencer, as the go-redis adapter is; a %T is not", o.remote))
		}
	}
	if o.leaseTTL > 0 {
		needsRemote(o.remote, "WithLease", "leases are keys in it")
		if _, ok := o.remote.(remote.Leaser); !ok {
			panic(fmt.Sprintf("cache: New: WithLease needs a remote that is a remote.Leaser, as the go-redis adapter is; a %T is not", o.remote))
		}
	}
	return o
}

// apply calls opts in their order.
func (o *Options) apply(opts []Option) {
	for i, opt := range opts {
		if opt == nil {
			panic(fmt.Sprintf("cache: New: option %d is nil; leave it out", i+1))
		}
		opt(o)
	}
}

// refuseNilPointers panics for a level that is a nil pointer: it would panic at its first call.
func (o *Options) refuseNilPointers() {
	for option, store := range map[string]any{"WithLocal": o.local, "WithRemote": o.remote} {
		if v := reflect.ValueOf(store); v.Kind() == reflect.Pointer && v.IsNil() {
			panic(fmt.Sprintf("cache: New: %s was given a nil %T; give a store, or leave the option out", option, store))
		}
	}
}

// needsRemote panics if there is no remote for an option that needs it.
func needsRemote(r remote.Remote, option, why string) {
	if r == nil {
		panic(fmt.Sprintf("cache: New: %s needs a remote, because %s; add WithRemote, or leave %s out", option, why, option))
	}
}

func orDefault(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

func positive[N int | time.Duration](n *N, def N) {
	if *n <= 0 {
		*n = def
	}
}

// WithName names the cache in logs, events and statistics; it is never part of a key.
// Default, and for "": "default".
func WithName(name string) Option { return func(o *Options) { o.name = name } }

// WithRemote sets the level that the fleet shares. Default: none. The cache does not
// close what is behind it.
func WithRemote(r remote.Remote) Option { return func(o *Options) { o.remote = r } }

// WithLocal sets the level within the process. Default: none. The cache does not close
// it.
func WithLocal(l local.Local) Option { return func(o *Options) { o.local = l } }

// WithCodec sets the codec of values that are neither nil, string nor []byte: "msgpack",
// "json", "sonic", or a name that was given to encoding.RegisterCodec. Default, and for "":
// "msgpack".
// New panics for a name that is not registered.
//
// "sonic" works without an import: until the package encoding/sonic is imported, the
// standard library reads and writes the same JSON.
func WithCodec(name string) Option { return func(o *Options) { o.codec = name } }

// WithErrNotFound sets the errors by which loaders say that a record does not exist, such as
// sql.ErrNoRows and gorm.ErrRecordNotFound. They are matched with errors.Is. The cache remembers
// such keys by a placeholder, and reads of them return the first of errs. Nil errors are left
// out. Default: ErrNotFound.
func WithErrNotFound(errs ...error) Option {
	errs = slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	return func(o *Options) { o.errsNotFound = errs }
}

// WithRemoteExpiry sets how long the remote keeps values that have no TTL of their own.
// Default, and for zero or less: one hour.
func WithRemoteExpiry(d time.Duration) Option { return func(o *Options) { o.remoteExpiry = d } }

// WithNotFoundExpiry sets how long placeholders are kept, in both levels; WithOffset adds
// to it. Default, and for zero or less: one minute.
func WithNotFoundExpiry(d time.Duration) Option { return func(o *Options) { o.notFoundExpiry = d } }

// WithOffset sets the jitter of placeholders: each lives for a random duration in [0, d) longer than
// the not-found expiry, so that they do not expire together. Default, and for zero or less: a tenth
// of the not-found expiry, at most 10s.
func WithOffset(d time.Duration) Option { return func(o *Options) { o.offset = d } }

// WithSeparator sets what T puts between a key's prefix and its id. Default: ":".
func WithSeparator(s string) Option { return func(o *Options) { o.separator = s } }

// WithSeparatorDisabled makes T put nothing between a key's prefix and its id. It wins over
// WithSeparator, in whatever order they are given. Default: false.
func WithSeparatorDisabled(disabled bool) Option {
	return func(o *Options) { o.separatorDisabled = disabled }
}

// WithRefreshDuration sets the interval at which keys that were asked for with
// Refresh(true) are loaded again in the background. Default, and for less than zero: off.
// Less than a second becomes a second.
func WithRefreshDuration(d time.Duration) Option { return func(o *Options) { o.refreshDuration = d } }

// WithStopRefreshAfterLastAccess sets for how long a key is refreshed after the last read of it with
// Refresh(true). Default, and for zero or less: the refresh interval plus one second.
// NeverStopRefresh has no end. It has no effect without WithRefreshDuration.
func WithStopRefreshAfterLastAccess(d time.Duration) Option {
	return func(o *Options) { o.stopRefreshAfterLastAccess = d }
}

// WithRefreshConcurrency sets how many keys are refreshed at a time. Default, and for zero or less:
// 4. A load that takes longer than half the refresh interval lends its place to another one, up to
// eight times n. Keys whose loads have outlasted their deadline get n/2 places of their own, at least
// one. So up to 9.5 times n loads may run when many hang. It has no effect without
// WithRefreshDuration.
func WithRefreshConcurrency(n int) Option { return func(o *Options) { o.refreshConcurrency = n } }

// WithRefreshTimeout sets the deadline of a load in the background. Default, and for zero
// or less: the refresh interval, or 30s if that is more. It has no effect without
// WithRefreshDuration.
func WithRefreshTimeout(d time.Duration) Option { return func(o *Options) { o.refreshTimeout = d } }

// WithMaxRefreshTasks bounds how many keys are refreshed. When the limit is reached, the key read
// least recently is no longer refreshed, which is counted and logged. Default, and for zero or less:
// 10,000. It has no effect without WithRefreshDuration.
func WithMaxRefreshTasks(n int) Option { return func(o *Options) { o.maxRefreshTasks = n } }

// WithLogger sets where the cache, and its default statistics, write their log lines. Default:
// the package logger, with its level. l decides about levels by itself. New panics if l is nil.
func WithLogger(l *slog.Logger) Option {
	return func(o *Options) {
		if l == nil {
			panic("cache: New: WithLogger was given nil; leave it out for the package logger")
		}
		o.logger = logger.FromSlog(l)
	}
}

// WithStatsHandler sets what counts hits, misses and queries. It wins over WithStatsDisabled. Default:
// a stats.NewStatsLogger with the cache's name, which logs every minute and is closed with the cache.
// New panics if h is nil.
func WithStatsHandler(h stats.Handler) Option {
	return func(o *Options) { o.statsHandler, o.statsGiven = h, true }
}

// WithStatsDisabled switches the default statistics off. Default: false.
func WithStatsDisabled(disabled bool) Option { return func(o *Options) { o.statsDisabled = disabled } }

// WithSourceId sets the SourceID of the cache's events. A node knows its own events by it. Default,
// and for "": 16 random hexadecimal digits.
func WithSourceId(id string) Option { return func(o *Options) { o.sourceID = id } }

// WithSyncLocal makes the local levels of a fleet follow each other. Default: false. It has no effect
// without a remote. A cache without a local level, such as that of a batch job, also tells the others
// of its changes; it has no events for a handler.
//
// If the remote is the adapter for go-redis, or if WithSyncBus is given, each node tells the others
// which keys it changes, by Set, by Delete, and by refreshes that find another value. Each node drops
// from its local level what others name. Set and Delete return when the others have been told. When
// messages may have been missed, for example after a lost connection, older local entries are checked
// against the remote when they are next read. See docs/coherence.md, WithSyncChannel and SyncStateOf.
//
// With WithEventHandler and without WithSyncChannel, the cache only calls the handler, which tells
// the others.
func WithSyncLocal(sync bool) Option { return func(o *Options) { o.syncLocal = sync } }

// WithEventChBufSize sets how many events may wait for the handler. When more come, their keys join
// the newest waiting event of their type. Default, and for zero: 100. New panics if n is negative.
func WithEventChBufSize(n int) Option { return func(o *Options) { o.eventBuffer = n } }

// WithEventHandler sets the function that is called for each change when WithSyncLocal is on. One
// goroutine at a time calls it, in the order of the changes; beyond WithEventChBufSize, keys join the
// newest waiting event of their type. The event and its keys belong to the handler. Its panics are
// recovered and logged. It should not call Close. Default: none.
func WithEventHandler(h func(*Event)) Option { return func(o *Options) { o.eventHandler = h } }

// warnOfOptions logs what is accepted but has no effect.
func (c *jetCache) warnOfOptions() {
	switch {
	case c.CacheType() == "":
		c.observe.Warn(nil, "it has neither WithLocal nor WithRemote, so every call returns ErrRemoteLocalBothNil")
	case c.syncLocal && !c.remote.Exists():
		c.observe.Warn(nil, "WithSyncLocal(true) has no effect without WithRemote: there is nobody to be in step with")
	}
	c.outage.warn(c.Options.remote, c.remote, c.observe)
}
