package cache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// The shortest use: a cache in the process, in front of something slow.
func Example() {
	store := local.NewTinyLFU(10_000, time.Minute)
	defer store.Close()
	c := cache.New(cache.WithLocal(store))
	defer c.Close()

	for range 2 {
		var greeting string
		err := c.Once(context.Background(), "greeting", cache.Value(&greeting), cache.Do(func(context.Context) (any, error) {
			fmt.Println("loading")
			return "hello", nil
		}))
		fmt.Println(greeting, err)
	}
	// Output:
	// loading
	// hello <nil>
	// hello <nil>
}

func ExampleNew() {
	store := local.NewTinyLFU(10_000, time.Minute)
	defer store.Close()
	c := cache.New(
		cache.WithName("users"),
		cache.WithLocal(store),
		cache.WithRemote(remotetest.NewMemory()), // in a service: remote.NewGoRedisV9Adapter(client)
		cache.WithRemoteExpiry(10*time.Minute),
	)
	defer c.Close()
	fmt.Println(c.CacheType())
	// Output: both
}

func ExampleWithErrNotFound() {
	errNoRows := errors.New("no rows") // sql.ErrNoRows, gorm.ErrRecordNotFound …
	store := local.NewTinyLFU(100, time.Minute)
	defer store.Close()
	c := cache.New(cache.WithLocal(store), cache.WithErrNotFound(errNoRows))
	defer c.Close()

	load := cache.Do(func(context.Context) (any, error) {
		fmt.Println("asking the database")
		return nil, errNoRows
	})
	fmt.Println(c.Once(context.Background(), "user:7", load))
	fmt.Println(c.Once(context.Background(), "user:7", load)) // remembered
	// Output:
	// asking the database
	// no rows
	// no rows
}

func ExampleCache() {
	store := local.NewTinyLFU(100, time.Minute)
	defer store.Close()
	c := cache.New(cache.WithLocal(store))
	defer c.Close()
	ctx := context.Background()

	err := c.Set(ctx, "answer", cache.Value(42), cache.TTL(time.Hour))
	var answer int
	fmt.Println(err, c.Get(ctx, "answer", &answer), answer)
	fmt.Println(c.Exists(ctx, "answer"), c.Delete(ctx, "answer"), c.Exists(ctx, "answer"))
	fmt.Println(c.Get(ctx, "answer", &answer))
	// Output:
	// <nil> <nil> 42
	// true <nil> false
	// cache: key is missing
}

// With an event handler, the local levels of other nodes can follow a change: publish the
// event, and on the other nodes call DeleteFromLocalCache for its keys.
func ExampleWithEventHandler() {
	store := local.NewTinyLFU(100, time.Minute)
	defer store.Close()
	c := cache.New(
		cache.WithLocal(store),
		cache.WithRemote(remotetest.NewMemory()),
		cache.WithSyncLocal(true),
		cache.WithEventHandler(func(e *cache.Event) { fmt.Println(e.EventType == cache.EventTypeDelete, e.Keys) }),
	)
	_ = c.Delete(context.Background(), "user:7")
	c.Close() // delivers what waits
	// Output: true [user:7]
}
