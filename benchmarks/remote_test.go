package benchmarks

import (
	"fmt"
	"runtime"
	"testing"

	rediscache "github.com/go-redis/cache/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// A remote hit: what is asked for is in Redis and nowhere else.

// BenchmarkRemoteHit has 1, 16 and 128 callers ask at a time. The time of an operation is
// that of all callers together: a throughput.
func BenchmarkRemoteHit(b *testing.B) {
	client := realRedis(b)
	w := zipfWorkload()
	for _, r := range remoteReaders(client) {
		b.Run(r.name, func(b *testing.B) {
			read := r.open(b, w)
			for _, callers := range []int{1, 16, 128} {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
					if callers == 1 {
						measureSerialReads(b, read)
						return
					}
					b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
					measureParallelReads(b, read)
				})
			}
		})
	}
}

func TestRemoteHit(t *testing.T) {
	checkReaders(t, remoteReaders(realRedis(t)), entityOf, entity.same)
}

// BenchmarkClientSideCaching is a local hit for who has Redis tell it of changes.
func BenchmarkClientSideCaching(b *testing.B) {
	measureReads(b, clientSideReaders(realRedis(b)))
}

func TestClientSideCaching(t *testing.T) {
	checkReaders(t, clientSideReaders(realRedis(t)), entityOf, entity.same)
}

func remoteReaders(client *redis.Client) []reader[entity] {
	return []reader[entity]{
		{"go-redis_GET_msgpack", openGoRedis(client)},
		{"go-redis_AutoPipeline_msgpack", openGoRedisAuto(client)},
		{"T.Get", openRemoteT(client, remote.NewGoRedisV9Adapter)},
		{"T.Get_AutoPipeline", openRemoteT(client, newPipelining)},
		{"go-redis_cache_Once", openRemoteGoRedisCache(client)},
		{"rueidis_GET_msgpack", openRueidis(client)},
	}
}

func clientSideReaders(client *redis.Client) []reader[entity] {
	return []reader[entity]{{"rueidis_DoCache_msgpack", openRueidisCached(client)}}
}

func openGoRedis(client *redis.Client) opener[entity] { return openGet(client, client) }

// openGoRedisAuto has go-redis collect what is asked for at about the same time.
func openGoRedisAuto(client *redis.Client) opener[entity] {
	return func(tb testing.TB, w workload) func(n int) (entity, bool) {
		auto, err := client.AutoPipeline()
		if err != nil {
			tb.Fatal(err)
		}
		return openGet(client, auto)(tb, w)
	}
}

// openGet reads by GET and decodes; client is for what is written beforehand.
func openGet(client *redis.Client, from redis.StringCmdable) opener[entity] {
	return func(tb testing.TB, w workload) func(n int) (entity, bool) {
		keys := putPlain(tb, client, w.n)
		return func(n int) (entity, bool) {
			data, err := from.Get(ctx, keys[w.ids[n]]).Bytes()
			if err != nil {
				return entity{}, false
			}
			return decodePlain(data)
		}
	}
}

func openRemoteT(client *redis.Client, adapter func(redis.Cmdable) remote.Remote) opener[entity] {
	return func(tb testing.TB, w workload) func(n int) (entity, bool) {
		putOurs(tb, client, w.n)
		users := cache.NewT[int64, entity](newCache(tb, cache.WithRemote(adapter(client))))
		return func(n int) (entity, bool) {
			e, err := users.Get(ctx, keyPrefix, w.ids[n], noEntity)
			return e, err == nil
		}
	}
}

// putOurs writes the entities 1 to n as T does.
func putOurs(tb testing.TB, client *redis.Client, n int) {
	store := &recLocal{}
	users := cache.NewT[int64, entity](newCache(tb, cache.WithLocal(store)))
	putAll(tb, client, n, func(pipe redis.Pipeliner, id int64) {
		if err := users.Set(ctx, keyPrefix, id, entityOf(id)); err != nil {
			tb.Fatal(err)
		}
		pipe.Set(ctx, store.key, store.data, ttl)
	})
}

// recLocal is a local store that keeps nothing but what was set last.
type recLocal struct {
	key  string
	data []byte
}

func (r *recLocal) Set(key string, data []byte)     { r.key, r.data = key, data }
func (*recLocal) Get(key string) (b []byte, _ bool) { return nil, false }
func (*recLocal) Del(key string)                    {}

func openRemoteGoRedisCache(client *redis.Client) opener[entity] {
	return func(tb testing.TB, w workload) func(n int) (entity, bool) {
		c := rediscache.New(&rediscache.Options{Redis: client})
		putAll(tb, client, w.n, func(pipe redis.Pipeliner, id int64) {
			data, err := c.Marshal(entityOf(id))
			if err != nil {
				tb.Fatal(err)
			}
			pipe.Set(ctx, keyOf(id), data, ttl)
		})
		load := func(*rediscache.Item) (any, error) { return nil, errUnexpected }
		return func(n int) (entity, bool) {
			var e entity
			err := c.Once(&rediscache.Item{Ctx: ctx, Key: w.keys[n], Value: &e, TTL: ttl, Do: load})
			return e, err == nil
		}
	}
}

func openRueidis(client *redis.Client) opener[entity] {
	return func(tb testing.TB, w workload) func(n int) (entity, bool) {
		keys, c := putPlain(tb, client, w.n), rueidisClient(tb, client)
		return func(n int) (entity, bool) {
			data, err := c.Do(ctx, c.B().Get().Key(keys[w.ids[n]]).Build()).AsBytes()
			if err != nil {
				return entity{}, false
			}
			return decodePlain(data)
		}
	}
}

func openRueidisCached(client *redis.Client) opener[entity] {
	return func(tb testing.TB, w workload) func(n int) (entity, bool) {
		keys, c := putPlain(tb, client, w.n), rueidisClient(tb, client)
		for first := 1; first <= w.n; first += 1000 { // have the keys in the process
			if _, err := rueidis.MGetCache(c, ctx, ttl, keys[first:min(first+1000, w.n+1)]); err != nil {
				tb.Fatal(err)
			}
		}
		return func(n int) (entity, bool) {
			data, err := c.DoCache(ctx, c.B().Get().Key(keys[w.ids[n]]).Cache(), ttl).AsBytes()
			if err != nil {
				return entity{}, false
			}
			return decodePlain(data)
		}
	}
}
