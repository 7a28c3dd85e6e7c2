package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
)

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

func ExampleT_Fetch() {
	c := cache.New(cache.WithLocal(sharedStore), cache.WithStatsDisabled(true))
	defer c.Close()
	prices := cache.NewT[string, float64](c)
	price, err := prices.Fetch(context.Background(), "price", "pen",
		func(context.Context, string) (float64, error) { return 1.20, nil },
		cache.TTL(10*time.Second))
	fmt.Println(price, err)
	// Output: 1.2 <nil>
}

func ExampleT_MFetch() {
	c := cache.New(cache.WithLocal(sharedStore), cache.WithStatsDisabled(true))
	defer c.Close()
	names := cache.NewT[int, string](c)
	found, err := names.MFetch(context.Background(), "name", []int{1, 2},
		func(_ context.Context, ids []int) (map[int]string, error) {
			return map[int]string{1: "Ada"}, nil
		}, cache.TTL(time.Minute))
	fmt.Println(found, err)
	// Output: map[1:Ada] <nil>
}

func ExampleT_MSet() {
	c := cache.New(cache.WithLocal(sharedStore), cache.WithStatsDisabled(true))
	defer c.Close()
	stock := cache.NewT[string, int](c)
	ctx := context.Background()

	_ = stock.MSet(ctx, "stock", map[string]int{"pen": 3, "ink": 5, "paper": 0})
	_ = stock.MDelete(ctx, "stock", []string{"ink"})
	fmt.Println(stock.MGet(ctx, "stock", []string{"pen", "ink", "paper"}, nil))
	// Output: map[paper:0 pen:3]
}

// sharedStore serves the examples that have no need of one of their own.
var sharedStore = local.NewArena(local.MB).NewFreeCache(time.Minute)
