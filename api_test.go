package cache_test

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/json"
	"github.com/mgtv-tech/jetcache-go/encoding/msgpack"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
	"github.com/mgtv-tech/jetcache-go/util"
)

// Programs that were written for the original use this API. If it changes, this file does not compile.

// Package cache.
var (
	_ func(...cache.Option) cache.Cache = cache.New

	_ interface {
		Set(ctx context.Context, key string, opts ...cache.ItemOption) error
		Once(ctx context.Context, key string, opts ...cache.ItemOption) error
		Get(ctx context.Context, key string, val any) error
		GetSkippingLocal(ctx context.Context, key string, val any) error
		Delete(ctx context.Context, key string) error
		DeleteFromLocalCache(key string)
		Exists(ctx context.Context, key string) bool
		TaskSize() int
		CacheType() string
		Close()
	} = cache.Cache(nil)

	_ = []string{cache.TypeLocal, cache.TypeRemote, cache.TypeBoth}
	_ = []error{cache.ErrCacheMiss, cache.ErrRemoteLocalBothNil, cache.ErrNotFound}

	_ func(context.Context) (any, error) = cache.DoFunc(nil)
	_                                    = []cache.EventType{cache.EventTypeSet, cache.EventTypeSetByOnce, cache.EventTypeSetByRefresh, cache.EventTypeSetByMGet, cache.EventTypeDelete}
	_                                    = cache.Event{CacheName: "", SourceID: "", EventType: cache.EventType(1), Keys: []string{}}

	_ []func(string) cache.Option        = []func(string) cache.Option{cache.WithName, cache.WithCodec, cache.WithSourceId, cache.WithSeparator}
	_ []func(time.Duration) cache.Option = []func(time.Duration) cache.Option{
		cache.WithRemoteExpiry, cache.WithNotFoundExpiry, cache.WithOffset, cache.WithRefreshDuration, cache.WithStopRefreshAfterLastAccess,
	}
	_ []func(bool) cache.Option              = []func(bool) cache.Option{cache.WithStatsDisabled, cache.WithSyncLocal, cache.WithSeparatorDisabled}
	_ []func(int) cache.Option               = []func(int) cache.Option{cache.WithRefreshConcurrency, cache.WithEventChBufSize}
	_ func(remote.Remote) cache.Option       = cache.WithRemote
	_ func(local.Local) cache.Option         = cache.WithLocal
	_ func(...error) cache.Option            = cache.WithErrNotFound
	_ func(stats.Handler) cache.Option       = cache.WithStatsHandler
	_ func(func(*cache.Event)) cache.Option  = cache.WithEventHandler
	_ func(any) cache.ItemOption             = cache.Value
	_ func(cache.DoFunc) cache.ItemOption    = cache.Do
	_ func(time.Duration) cache.ItemOption   = cache.TTL
	_ []func(bool) cache.ItemOption          = []func(bool) cache.ItemOption{cache.SetNX, cache.SetXX, cache.SkipLocal, cache.Refresh}
	_ func(cache.Cache) *cache.T[int, *user] = cache.NewT[int, *user]
	_                                        = cache.T[[16]byte, string]{Cache: nil}

	_ interface {
		Set(ctx context.Context, key string, id int, v *user) error
		Get(ctx context.Context, key string, id int, fn func(context.Context, int) (*user, error)) (*user, error)
		MGet(ctx context.Context, key string, ids []int, fn func(context.Context, []int) (map[int]*user, error)) map[int]*user
		MGetWithErr(ctx context.Context, key string, ids []int, fn func(context.Context, []int) (map[int]*user, error)) (map[int]*user, error)
		Delete(ctx context.Context, key string, id int) error
		Exists(ctx context.Context, key string, id int) bool
		Once(ctx context.Context, key string, opts ...cache.ItemOption) error
		TaskSize() int
		Close()
	} = (*cache.T[int, *user])(nil)
)

// Package local.
var (
	_ interface {
		Set(key string, data []byte)
		Get(key string) ([]byte, bool)
		Del(key string)
	} = local.Local(nil)
	_ = []local.Size{local.Byte, local.KB, local.MB, local.GB, local.TB}

	_ func(int, time.Duration) *local.TinyLFU                     = local.NewTinyLFU
	_ func(local.Size, time.Duration, ...string) *local.FreeCache = local.NewFreeCache
	_ func(*local.FreeCache, string) string                       = (*local.FreeCache).Key
	_ func(*local.FreeCache, time.Duration)                       = (*local.FreeCache).UseRandomizedTTL
	_ func(*local.TinyLFU, time.Duration)                         = (*local.TinyLFU).UseRandomizedTTL
	_                                                             = []local.Local{(*local.TinyLFU)(nil), (*local.FreeCache)(nil)}
)

// Package remote. Clients for one node, for Sentinel (redis.NewFailoverClient returns a
// *redis.Client, too), rings and clusters are all a redis.Cmdable.
var (
	_ interface {
		SetEX(ctx context.Context, key string, value any, expire time.Duration) error
		SetNX(ctx context.Context, key string, value any, expire time.Duration) (bool, error)
		SetXX(ctx context.Context, key string, value any, expire time.Duration) (bool, error)
		Get(ctx context.Context, key string) (string, error)
		Del(ctx context.Context, key string) (int64, error)
		MGet(ctx context.Context, keys ...string) (map[string]any, error)
		MSet(ctx context.Context, values map[string]any, expire time.Duration) error
		Nil() error
	} = remote.Remote(nil)

	_ func(redis.Cmdable) remote.Remote          = remote.NewGoRedisV9Adapter
	_ remote.Remote                              = (*remote.GoRedisV9Adapter)(nil)
	_ func(*redis.FailoverOptions) *redis.Client = redis.NewFailoverClient
	_                                            = []redis.Cmdable{(*redis.Client)(nil), (*redis.Ring)(nil), (*redis.ClusterClient)(nil)}
)

// Packages encoding, stats and logger. The package encoding/sonic is not imported by these
// tests, so that WithCodec("sonic") is tested without it.
var (
	_ interface {
		Marshal(any) ([]byte, error)
		Unmarshal([]byte, any) error
		Name() string
	} = encoding.Codec(nil)
	_ func(encoding.Codec)        = encoding.RegisterCodec
	_ func(string) encoding.Codec = encoding.GetCodec
	_                             = []string{msgpack.Name, json.Name}

	_ interface {
		IncrHit()
		IncrMiss()
		IncrLocalHit()
		IncrLocalMiss()
		IncrRemoteHit()
		IncrRemoteMiss()
		IncrQuery()
		IncrQueryFail(err error)
	} = stats.Handler(nil)
	_ func(bool, ...stats.Handler) stats.Handler  = stats.NewHandles
	_ func(string, ...stats.Option) stats.Handler = stats.NewStatsLogger
	_ func(time.Duration) stats.Option            = stats.WithStatsInterval
	_                                             = func(s *stats.Stats) (string, []*uint64) {
		return s.Name, []*uint64{&s.Hit, &s.Miss, &s.LocalHit, &s.LocalMiss, &s.RemoteHit, &s.RemoteMiss, &s.Query, &s.QueryFail}
	}

	_ interface {
		Debug(format string, v ...any)
		Info(format string, v ...any)
		Warn(format string, v ...any)
		Error(format string, v ...any)
	} = logger.Logger(nil)
	_ func(*cache.Options)                        = cache.Option(nil)
	_ func(*stats.Options)                        = stats.Option(nil)
	_ stats.Handler                               = (*stats.Handlers)(nil)
	_ []local.Option                              = nil
	_ [4]struct{}                                 = [logger.LevelError + 1]struct{}{} // the levels are 0 to 3
	_ func(maps ...map[string]int) map[string]int = util.MergeMap[string, int]
	_ func(fn func())                             = util.WithRecover
	_ func() *util.SafeRand                       = util.NewSafeRand
	_ func(*util.SafeRand, int64) int64           = (*util.SafeRand).Int63n
	_ func(*util.SafeRand, int) string            = (*util.SafeRand).RandN
	_ func([]byte) string                         = util.String
	_ func(string) []byte                         = util.Bytes

	_ func(logger.Logger) = logger.SetDefaultLogger
	_ func(logger.Level)  = logger.SetLevel
	_                     = []logger.Level{logger.LevelDebug, logger.LevelInfo, logger.LevelWarn, logger.LevelError}
	_                     = []func(string, ...any){logger.Debug, logger.Info, logger.Warn, logger.Error}
)
