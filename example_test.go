package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

func ExampleT() {
	type User struct{ Name string }
	store := local.NewTinyLFU(100, time.Minute)
	defer store.Close()
	c := cache.New(cache.WithLocal(store))
	defer c.Close()
	users := cache.NewT[int, User](c)

	u, err := users.Get(context.Background(), "user", 7, func(_ context.Context, id int) (User, error) {
		return User{Name: fmt.Sprint("user ", id)}, nil
	})
	fmt.Println(u, err, c.Exists(context.Background(), "user:7"))
	// Output: {user 7} <nil> true
}

func ExampleT_MGet() {
	store := local.NewTinyLFU(100, time.Minute)
	defer store.Close()
	c := cache.New(cache.WithLocal(store))
	defer c.Close()
	names := cache.NewT[int, string](c)
	ctx := context.Background()
	_ = names.Set(ctx, "name", 1, "Ada")

	query := func(_ context.Context, ids []int) (map[int]string, error) {
		slices.Sort(ids)
		fmt.Println("SELECT … WHERE id IN", ids)
		return map[int]string{2: "Grace"}, nil // there is no 3
	}
	fmt.Println(names.MGet(ctx, "name", []int{1, 2, 3}, query))
	fmt.Println(names.MGet(ctx, "name", []int{1, 2, 3}, query)) // that there is no 3 is remembered
	// Output:
	// SELECT … WHERE id IN [2 3]
	// map[1:Ada 2:Grace]
	// map[1:Ada 2:Grace]
}

// A result and an error may come together: what could be had, and why there is no more.
func ExampleT_MGetWithErr() {
	store := local.NewTinyLFU(100, time.Minute)
	defer store.Close()
	c := cache.New(cache.WithLocal(store))
	defer c.Close()
	names := cache.NewT[int, string](c)
	ctx := context.Background()
	_ = names.Set(ctx, "name", 1, "Ada")

	errDown := errors.New("the database is down")
	found, err := names.MGetWithErr(ctx, "name", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
		return nil, errDown
	})
	fmt.Println(found, errors.Is(err, errDown))
	// Output: map[1:Ada] true
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
