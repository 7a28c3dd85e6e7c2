package faults

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// Many caches of a process over one client, and on one channel, share one subscription.
func TestCachesOfOneClientShareTheirLink(t *testing.T) {
	const many = 20
	server := redistest.NewProcess(t)
	admin := server.Client()
	client := newClient(t, redis.Options{Addr: server.Addr()})
	caches := make([]cache.Cache, many)
	for i := range caches {
		caches[i] = newCache(t, client)
	}
	for _, c := range caches {
		ready(t, c)
	}
	if n := subscriptions(t, admin); n != 1 {
		t.Errorf("%d caches have %d connections that subscribe, want 1", many, n)
	}

	// Each of them hears of what another one changes, and of what another client changes.
	other := newCache(t, newClient(t, redis.Options{Addr: server.Addr()}))
	ready(t, other)
	for i, writer := range []cache.Cache{caches[0], caches[many-1], other} {
		before, after := fmt.Sprint("before ", i), fmt.Sprint("after ", i)
		succeed(t, writer.Set(t.Context(), "k", cache.Value(before)))
		for _, c := range caches {
			eventually(t, func() error { return reads(t, c, before) })
		}
		succeed(t, writer.Set(t.Context(), "k", cache.Value(after)))
		for _, c := range caches {
			eventually(t, func() error { return reads(t, c, after) })
		}
	}

	// The link lives until its last cache is closed.
	other.Close()
	for i, c := range caches {
		if n := subscriptions(t, admin); n == 0 {
			t.Errorf("no connection subscribes, although %d caches are open", many-i)
		}
		c.Close()
	}
	eventually(t, func() error {
		if n := subscriptions(t, admin); n > 0 {
			return fmt.Errorf("all caches are closed, and %d connections subscribe", n)
		}
		return nil
	})
}

func reads(t *testing.T, c cache.Cache, want string) error {
	t.Helper()
	var got string
	if err := c.Get(t.Context(), "k", &got); err != nil || got != want {
		return fmt.Errorf("reads %q, %v, want %q", got, err, want)
	}
	return nil
}

// subscriptions returns the number of connections that subscribe.
func subscriptions(t *testing.T, admin *redis.Client) int {
	t.Helper()
	list, err := admin.Do(t.Context(), "client", "list", "type", "pubsub").Text()
	succeed(t, err)
	return strings.Count(list, "\n")
}
