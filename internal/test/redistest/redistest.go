// Package redistest gives tests a Redis: the embedded miniredis, and a real server if there is one.
//
// The real server is the one at REDIS_ADDR, or one that is started from the redis-server in the
// PATH. At REDIS_ADDR each test takes an empty database from 1 to 15 for itself. It records that in
// database 0 under a key that expires, and empties its database in the end.
//
// A test that kills, pauses or configures its Redis starts its own, with NewProcess. That needs a
// redis-server in the PATH, even if REDIS_ADDR is set.
package redistest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Server is an empty Redis for one test.
type Server struct {
	Client *redis.Client
	// Advance makes time pass for the server: at once for miniredis, which does not expire keys by
	// itself, and by sleeping for a real server.
	Advance func(time.Duration)
}

// Each runs test in two subtests: with the embedded server, and with a real one. If there is no
// real server, the second is skipped with the reason.
func Each(t *testing.T, test func(t *testing.T, s Server)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) { test(t, Embedded(t)) })
	t.Run("redis", func(t *testing.T) { test(t, Real(t)) })
}

// Embedded starts a miniredis that ends with the test.
func Embedded(t testing.TB) Server {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return Server{Client: client(t, m.Addr(), 0), Advance: m.FastForward}
}

// Real returns an empty database of a real Redis, and skips the test if there is none.
func Real(t testing.TB) Server {
	t.Helper()
	if addr := os.Getenv("REDIS_ADDR"); addr != "" {
		return Server{Client: claim(t, addr), Advance: time.Sleep}
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("skipped: no real Redis; set REDIS_ADDR, or install redis-server")
	}
	return Server{Client: client(t, NewProcess(t).Addr(), 0), Advance: time.Sleep}
}

func client(t testing.TB, addr string, db int) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, DB: db})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// claimed is how long a database stays claimed after the test that claimed it has died.
const claimed = 10 * time.Minute

// claim takes an empty database of the server at addr.
func claim(t testing.TB, addr string) *redis.Client {
	t.Helper()
	ctx := context.Background()
	zero := client(t, addr, 0)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for n := 1; n < 16; n++ {
			note := fmt.Sprint("jetcache-go:test:database:", n)
			ok, err := zero.SetNX(ctx, note, t.Name(), claimed).Result()
			if err != nil {
				t.Fatalf("the Redis at REDIS_ADDR=%s does not answer: %v", addr, err)
			}
			if !ok {
				continue
			}
			c := client(t, addr, n)
			if size, err := c.DBSize(ctx).Result(); err != nil || size > 0 {
				zero.Del(ctx, note)
				continue
			}
			t.Cleanup(func() {
				if err := c.FlushDB(ctx).Err(); err != nil {
					t.Errorf("emptying database %d: %v", n, err)
				}
				zero.Del(ctx, note)
			})
			return c
		}
	}
	t.Fatalf("the Redis at REDIS_ADDR=%s has no empty database from 1 to 15", addr)
	return nil
}
