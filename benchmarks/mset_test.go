package benchmarks

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// Writing and removing a hundred entities at once, in Redis.

// batchWriter is one way to do both.
type batchWriter struct {
	name string
	open func(tb testing.TB, client *redis.Client) (write func(map[int64]entity) error, remove func(ids []int64) error)
}

var batchWriters = []batchWriter{
	{"go-redis_pipeline_msgpack", func(_ testing.TB, client *redis.Client) (func(map[int64]entity) error, func([]int64) error) {
		keys := plainKeys(batchSize)
		write := func(values map[int64]entity) error {
			_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
				for id, e := range values {
					data, err := msgpack.Marshal(e)
					if err != nil {
						return err
					}
					pipe.Set(ctx, keys[id], data, ttl)
				}
				return nil
			})
			return err
		}
		return write, func(ids []int64) error { return client.Del(ctx, keysIn(keys, ids)...).Err() }
	}},
	{"T.MSet_T.MDelete", func(tb testing.TB, client *redis.Client) (func(map[int64]entity) error, func([]int64) error) {
		users := cache.NewT[int64, entity](newCache(tb, cache.WithRemote(remote.NewGoRedisV9Adapter(client))))
		write := func(values map[int64]entity) error { return writeBatch(users, values) }
		return write, func(ids []int64) error { return deleteBatch(users, ids) }
	}},
}

func BenchmarkBatchWrite(b *testing.B) {
	client, ids := realRedis(b), upTo(batchSize)
	values := entitiesOf(ids)
	for _, w := range batchWriters {
		b.Run(w.name, func(b *testing.B) {
			write, remove := w.open(b, client)
			b.Run("set", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := write(values); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("delete", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := remove(ids); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func entitiesOf(ids []int64) map[int64]entity {
	values := make(map[int64]entity, len(ids))
	for _, id := range ids {
		values[id] = entityOf(id)
	}
	return values
}

func TestBatchWrite(t *testing.T) {
	client, ids := realRedis(t), upTo(batchSize)
	for _, w := range batchWriters {
		t.Run(w.name, func(t *testing.T) {
			write, remove := w.open(t, client)
			if err := write(entitiesOf(ids)); err != nil {
				t.Fatal(err)
			}
			if n, err := client.DBSize(ctx).Result(); err != nil || n != batchSize {
				t.Errorf("%d keys are there after the write, %v", n, err)
			}
			if err := remove(ids); err != nil {
				t.Fatal(err)
			}
			if n, err := client.DBSize(ctx).Result(); err != nil || n != 0 {
				t.Errorf("%d keys are there after the removal, %v", n, err)
			}
		})
	}
}
