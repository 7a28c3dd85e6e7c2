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
