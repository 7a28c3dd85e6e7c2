package benchmarks

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// realRedis returns a client of an empty database of a real Redis: of the server at
// REDIS_ADDR, or of one that runs until tb ends. Where there is neither, tb is skipped and
// says so.
func realRedis(tb testing.TB) *redis.Client {
	tb.Helper()
	return redistest.Real(tb).Client
}

// plainPrefix is in front of the ids that hold MessagePack and nothing around it, for those
// who read Redis without a cache. It is as long as keyPrefix.
const plainPrefix = "flat"

// putPlain writes the entities 1 to n as plain MessagePack, and returns the keys by id.
func putPlain(tb testing.TB, client *redis.Client, n int) (keys []string) {
	keys = plainKeys(n)
	putAll(tb, client, n, func(pipe redis.Pipeliner, id int64) {
		pipe.Set(ctx, keys[id], plain(tb, id), ttl)
	})
	return keys
}

// plainKeys returns the keys of plain entities by id.
func plainKeys(n int) []string {
	keys := make([]string, n+1)
	for id := range keys {
		keys[id] = plainPrefix + keyOf(int64(id))[len(keyPrefix):]
	}
	return keys
}

// putAll calls put for the ids 1 to n, a thousand in a pipeline.
func putAll(tb testing.TB, client *redis.Client, n int, put func(pipe redis.Pipeliner, id int64)) {
	tb.Helper()
	for first := 1; first <= n; first += 1000 {
		_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for id := first; id < min(first+1000, n+1); id++ {
				put(pipe, int64(id))
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// rueidisClient returns a rueidis client of the same database.
func rueidisClient(tb testing.TB, client *redis.Client) rueidis.Client {
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{client.Options().Addr},
		SelectDB:    client.Options().DB,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}
