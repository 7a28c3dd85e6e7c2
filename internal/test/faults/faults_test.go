package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	heartbeat = 100 * time.Millisecond
	maxLoad   = 5 * time.Second
)

// newClient returns a client, closed with the test.
func newClient(t *testing.T, o redis.Options) *redis.Client {
	t.Helper()
	c := redis.NewClient(&o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// newCache returns a cache on client, with a link and fences, closed with the test. All caches of a
// test are a fleet.
func newCache(t *testing.T, client redis.UniversalClient, opts ...cache.Option) cache.Cache {
	t.Helper()
	store := local.NewOtter(1000, time.Hour)
	c := cache.New(append([]cache.Option{
		cache.WithName(t.Name()), cache.WithStatsDisabled(true),
		cache.WithLocal(store), cache.WithRemote(remote.NewGoRedisV9Adapter(client)),
		cache.WithSyncLocal(true), cache.WithSyncHeartbeat(heartbeat), cache.WithFence(maxLoad),
	}, opts...)...)
	t.Cleanup(func() {
		c.Close()
		store.Close()
	})
	return c
}

// returns is a loader that returns value.
func returns(value string) cache.ItemOption {
	return cache.Do(func(context.Context) (any, error) { return value, nil })
}

// once reads key, and loads value if it is not there.
func once(t *testing.T, c cache.Cache, key, value string, opts ...cache.ItemOption) string {
	t.Helper()
	var got string
	if err := c.Once(t.Context(), key, append(opts, cache.Value(&got), returns(value))...); err != nil {
		t.Errorf("reading %s: %v", key, err)
	}
	return got
}

func succeed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until what returns nil. The test fails with its error after half a minute.
func eventually(t *testing.T, what func() error) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := what()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after half a minute: %v", err)
		}
	}
}

// ready waits until the link of c is up.
func ready(t *testing.T, c cache.Cache) {
	t.Helper()
	eventually(t, func() error {
		if s := cache.SyncStateOf(c); !s.Ready {
			return fmt.Errorf("the link is down: %v", s.Err)
		}
		return nil
	})
}
