// Command quickstart is the shortest useful program: a cache in the process, in front of
// something slow. It needs nothing else.
package main

import (
	"context"
	"fmt"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
)

func main() {
	store := local.NewTinyLFU(10_000, time.Minute) // 10,000 entries, each for a minute
	defer store.Close()
	c := cache.New(cache.WithName("greetings"), cache.WithLocal(store))
	defer c.Close()

	slow := func(context.Context) (any, error) {
		time.Sleep(200 * time.Millisecond) // a database, a remote service …
		return "hello, world", nil
	}
	for range 3 {
		start := time.Now()
		var greeting string
		err := c.Once(context.Background(), "greeting:en", cache.Value(&greeting), cache.Do(slow))
		fmt.Printf("%q, error %v, after %s\n", greeting, err, time.Since(start).Round(time.Millisecond))
	}
}
