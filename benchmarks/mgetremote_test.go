package benchmarks

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// Batches of a hundred ids, all of them in Redis, or nowhere.

// cycle is how many batches there are for Redis: no id is in two of them.
const cycle = 200

// distinctBatches returns n batches of neighbouring ids.
func distinctBatches(n int) [][]int64 {
	batches, ids := make([][]int64, n), upTo(n*batchSize)
	for i := range batches {
		batches[i] = ids[i*batchSize : (i+1)*batchSize]
	}
	return batches
}

// batchesInRedis is one way to read batches that Redis has. Where again is not nil, it is
// called, outside of what is measured, before the batches are read once more.
type batchesInRedis struct {
	name string
	open func(tb testing.TB, client *redis.Client, batches [][]int64) (read func(n int) batchResult, again func())
}

var remoteBatchReaders = []batchesInRedis{
	{"go-redis_MGET_msgpack", openMGETDecode},
	{"T.MGet", openRemoteMGet(nil, remote.NewGoRedisV9Adapter)},
	// A local level that never has anything: what remains of a lifetime is read, and that
	// is all that differs.
	{"T.MGet_reads_TTL", openRemoteMGet(forgetful, remote.NewGoRedisV9Adapter)},
	{"T.MGet_WithoutTTL", openRemoteMGet(forgetful, newWithoutTTL)},
	{"T.MGet_fills_Otter", openRemoteMGet(ourOtter, remote.NewGoRedisV9Adapter)},
}

// BenchmarkMGetRemote reads batches whose ids are all in Redis, and nowhere else.
func BenchmarkMGetRemote(b *testing.B) {
	client, batches := realRedis(b), distinctBatches(cycle)
	for _, r := range remoteBatchReaders {
		b.Run(r.name, func(b *testing.B) {
			read, again := r.open(b, client, batches)
			measureCycles(b, batches, read, again)
		})
	}
}

func TestMGetRemote(t *testing.T) {
	client, batches := realRedis(t), distinctBatches(3)
	for _, r := range remoteBatchReaders {
		t.Run(r.name, func(t *testing.T) {
			read, again := r.open(t, client, batches)
			checkCycles(t, batches, read, again)
		})
	}
}

// measureCycles reads the batches one after the other; before it begins anew, it calls
// again.
func measureCycles(b *testing.B, batches [][]int64, read func(n int) batchResult, again func()) {
	b.ReportAllocs()
	n, missing := 0, 0
	for b.Loop() {
		if n == len(batches) {
			n = 0
			if again != nil {
				b.StopTimer()
				again()
				b.StartTimer()
			}
		}
		missing += batchSize - read(n).len()
		n++
	}
	noMisses(b, missing)
}

func checkCycles(t *testing.T, batches [][]int64, read func(n int) batchResult, again func()) {
	for range 2 {
		for n, ids := range batches {
			checkBatch(t, read(n), ids)
		}
		if again != nil {
			again()
		}
	}
}

func openMGETDecode(tb testing.TB, client *redis.Client, batches [][]int64) (func(n int) batchResult, func()) {
	keys := putPlain(tb, client, len(batches)*batchSize)
	return func(n int) batchResult {
		found := make(map[int64]entity, batchSize)
		values, err := client.MGet(ctx, keysIn(keys, batches[n])...).Result()
		if err != nil {
			tb.Error(err)
			return batchResult{}
		}
		for i, v := range values {
			text, ok := v.(string)
			if !ok {
				continue
			}
			var e entity
			if err := msgpack.Unmarshal([]byte(text), &e); err != nil {
				tb.Error(err)
			}
			found[batches[n][i]] = e
		}
		return batchResult{byID: found}
	}, nil
}

// keysIn returns the keys of ids out of a table.
func keysIn(table []string, ids []int64) []string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = table[id]
	}
	return keys
}

func openRemoteMGet(store storeOf, adapter func(redis.Cmdable) remote.Remote) func(testing.TB, *redis.Client, [][]int64) (func(n int) batchResult, func()) {
	return func(tb testing.TB, client *redis.Client, batches [][]int64) (func(n int) batchResult, func()) {
		putOurs(tb, client, len(batches)*batchSize)
		var users *cache.T[int64, entity]
		renew := func() {
			opts := []cache.Option{cache.WithRemote(adapter(client)), shared()}
			if store != nil {
				opts = append(opts, cache.WithLocal(store(tb, 2*len(batches)*batchSize)))
			}
			users = cache.NewT[int64, entity](newCache(tb, opts...))
		}
		renew()
		return func(n int) batchResult {
			found, err := users.MGetWithErr(ctx, keyPrefix, batches[n], noEntities)
			if err != nil {
				tb.Error(err)
			}
			return batchResult{byID: found}
		}, renew
	}
}

// BenchmarkMGetMissing reads batches that are nowhere, has them loaded and writes them back.
func BenchmarkMGetMissing(b *testing.B) {
	client, batches := realRedis(b), distinctBatches(cycle)
	for _, r := range missingBatchReaders {
		b.Run(r.name, func(b *testing.B) {
			read, _ := r.open(b, client, batches)
			empty := func() { emptyRedis(b, client) }
			empty()
			measureCycles(b, batches, read, empty)
		})
	}
}

func TestMGetMissing(t *testing.T) {
	client, batches := realRedis(t), distinctBatches(3)
	for _, r := range missingBatchReaders {
		t.Run(r.name, func(t *testing.T) {
			read, _ := r.open(t, client, batches)
			emptyRedis(t, client)
			checkCycles(t, batches, read, func() {
				if n, err := client.DBSize(ctx).Result(); err != nil || int(n) != len(batches)*batchSize {
					t.Errorf("%d keys were written back, %v; want %d", n, err, len(batches)*batchSize)
				}
				emptyRedis(t, client)
			})
		})
	}
}

var missingBatchReaders = []batchesInRedis{
	{"go-redis_MGET_SET_msgpack", openMGETThenSET},
	{"T.MGet", openMissingMGet},
}

// emptyRedis empties the database of client, which is the benchmark's own.
func emptyRedis(tb testing.TB, client *redis.Client) {
	if err := client.FlushDB(ctx).Err(); err != nil {
		tb.Fatal(err)
	}
}

// loadFrom returns a loader that has its entities at hand, for ids up to n.
func loadFrom(n int) func(context.Context, []int64) (map[int64]entity, error) {
	rows := make([]entity, n+1)
	for id := range rows {
		rows[id] = entityOf(int64(id))
	}
	return func(_ context.Context, ids []int64) (map[int64]entity, error) {
		found := make(map[int64]entity, len(ids))
		for _, id := range ids {
			found[id] = rows[id]
		}
		return found, nil
	}
}

func openMGETThenSET(tb testing.TB, client *redis.Client, batches [][]int64) (func(n int) batchResult, func()) {
	n := len(batches) * batchSize
	keys, load := plainKeys(n), loadFrom(n)
	return func(n int) batchResult {
		ids := batches[n]
		values, err := client.MGet(ctx, keysIn(keys, ids)...).Result()
		if err != nil {
			tb.Error(err)
		}
		var missing []int64
		for i, v := range values {
			if v == nil {
				missing = append(missing, ids[i])
			}
		}
		found, err := load(ctx, missing)
		if err != nil {
			tb.Error(err)
		}
		_, err = client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for id, e := range found {
				data, err := msgpack.Marshal(e)
				if err != nil {
					return err
				}
				pipe.Set(ctx, keys[id], data, ttl)
			}
			return nil
		})
		if err != nil {
			tb.Error(err)
		}
		return batchResult{byID: found}
	}, nil
}

func openMissingMGet(tb testing.TB, client *redis.Client, batches [][]int64) (func(n int) batchResult, func()) {
	users := cache.NewT[int64, entity](newCache(tb, cache.WithRemote(remote.NewGoRedisV9Adapter(client))))
	load := loadFrom(len(batches) * batchSize)
	return func(n int) batchResult {
		found, err := users.MGetWithErr(ctx, keyPrefix, batches[n], load)
		if err != nil {
			tb.Error(err)
		}
		return batchResult{byID: found}
	}, nil
}
