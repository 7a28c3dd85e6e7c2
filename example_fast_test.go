package cache_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
)

type product struct {
	Name string
	Tags []string
}

func ExampleWithSharedValues() {
	store := local.NewOtter(1000, time.Minute)
	defer store.Close()
	c := cache.New(cache.WithLocal(store), cache.WithStatsDisabled(true),
		cache.WithSharedValues[product]()) // nobody changes the Tags of a product
	defer c.Close()
	products := cache.NewT[int, product](c)
	load := func(context.Context, int) (product, error) { return product{"pen", []string{"blue"}}, nil }

	ctx := context.Background()
	_, _ = products.Get(ctx, "product", 7, load)    // loads
	a, _ := products.Get(ctx, "product", 7, load)   // decodes, once
	b, err := products.Get(ctx, "product", 7, load) // neither
	fmt.Println(b, err, &a.Tags[0] == &b.Tags[0])
	// Output: {pen [blue]} <nil> true
}

func ExampleWithClone() {
	store := local.NewOtter(1000, time.Minute)
	defer store.Close()
	c := cache.New(cache.WithLocal(store), cache.WithStatsDisabled(true),
		cache.WithClone(func(p product) product {
			p.Tags = slices.Clone(p.Tags)
			return p
		}))
	defer c.Close()
	products := cache.NewT[int, product](c)

	ctx := context.Background()
	_ = products.Set(ctx, "product", 7, product{"pen", []string{"blue"}})
	mine, _ := products.Get(ctx, "product", 7, nil)
	mine.Tags[0] = "red" // it is nobody else's
	again, err := products.Get(ctx, "product", 7, nil)
	fmt.Println(again, err)
	// Output: {pen [blue]} <nil>
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

// sharedStore serves the examples that have no need of one of their own.
var sharedStore = local.NewArena(local.MB).NewFreeCache(time.Minute)
