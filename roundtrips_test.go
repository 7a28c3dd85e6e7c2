package cache_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// What each call costs, in round trips to the remote, with the link, fences and leases.
func TestRoundTripsWithAllOptions(t *testing.T) {
	server := redistest.Real(t)
	client := redis.NewClient(server.Client.Options())
	defer func() { _ = client.Close() }()
	n := newRedisNode(t, client, cache.WithName(t.Name()), cache.WithSyncLocal(true), cache.WithFence(maxLoad), cache.WithLease(leaseTTL))
	other := newRedisNode(t, server.Client, cache.WithName(t.Name()), cache.WithSyncLocal(true), cache.WithFence(maxLoad), cache.WithLease(leaseTTL))
	users := cache.NewT[int, string](n.Cache)
	load := func(_ context.Context, ids []int) (map[int]string, error) {
		values := make(map[int]string)
		for _, id := range ids {
			values[id] = fmt.Sprint("v", id)
		}
		return values, nil
	}
	next := 0
	ids := func(count int) (ids []int) {
		for range count {
			next++
			ids = append(ids, next)
		}
		return ids
	}
	values := func(count int) map[int]string {
		m, _ := load(ctx, ids(count))
		return m
	}
	calls := map[string]struct {
		want int64
		call func() error
	}{
		"a miss of Once": {3, func() error {
			_, err := onceString(n, fmt.Sprint(t.Name(), ids(1)), returns("v", nil))
			return err
		}},
		"a miss of T.Get": {3, func() error {
			_, err := users.Get(ctx, "u", ids(1)[0], func(context.Context, int) (string, error) { return "v", nil })
			return err
		}},
		"a miss of a batch": {3, func() error {
			_, err := users.MGetWithErr(ctx, "u", ids(50), load)
			return err
		}},
		"Set":     {1, func() error { return users.Set(ctx, "u", ids(1)[0], "v") }},
		"Delete":  {1, func() error { return users.Delete(ctx, "u", ids(1)[0]) }},
		"MSet":    {1, func() error { return users.MSet(ctx, "u", values(50)) }},
		"MDelete": {1, func() error { return users.MDelete(ctx, "u", ids(50)) }},
		"Set with Do": {2, func() error {
			return n.Set(ctx, fmt.Sprint(t.Name(), ids(1)), returns("v", nil))
		}},
		"Mutate": {2, func() error {
			return users.Mutate(ctx, "u", ids(2), func(context.Context) error { return nil })
		}},
	}
	for _, c := range calls { // the server learns the scripts
		if err := c.call(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the link is not up", func() bool { return cache.SyncStateOf(n).Ready && cache.SyncStateOf(other).Ready })
	var trips roundTrips
	client.AddHook(&trips)
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			least := int64(100) // the link reads its token now and then
			for range 5 {
				before := trips.n.Load()
				if err := c.call(); err != nil {
					t.Fatal(err)
				}
				least = min(least, trips.n.Load()-before)
			}
			if least != c.want {
				t.Errorf("it takes %d round trips, want %d", least, c.want)
			}
		})
	}
	// What the changes have told arrives.
	if err := users.Set(ctx, "u", 1, "told"); err != nil {
		t.Fatal(err)
	}
	if s, err := onceString(other, "u:1", never(t)); s != "told" || err != nil {
		t.Fatal(s, err)
	}
	if err := users.Set(ctx, "u", 1, "again"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other node has an old value", func() bool { return !other.has("u:1") })
	if state := cache.SyncStateOf(other); state.Gaps != 0 {
		t.Errorf("the state of the other node is %+v", state)
	}
}
