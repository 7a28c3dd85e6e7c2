// Command quickstart caches something slow in the memory of the process. It needs no Redis.
package main

import (
	"context"
	"fmt"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
)

func main() {
	store := local.NewOtter(10_000, time.Minute) // about 10,000 entries, each for about a minute
	defer store.Close()
	c := cache.New(cache.WithName("greetings"), cache.WithLocal(store))
	defer c.Close()

	// load stands for a query of a database, or a call of another service.
	load := func(context.Context) (any, error) {
		time.Sleep(200 * time.Millisecond)
		return "hello, world", nil
	}
	for i := range 3 {
		start := time.Now()
		var greeting string
		err := c.Once(context.Background(), "greeting:en", cache.Value(&greeting), cache.Do(load))
		fmt.Printf("call %d: %q, error %v, after %s\n", i+1, greeting, err, time.Since(start).Round(time.Millisecond))
	}
}
