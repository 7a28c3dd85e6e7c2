// Command outage measures how long calls take while Redis is stopped: while it accepts
// connections and does not answer. The client has the timeouts that the README recommends.
// With -defaults it has those of go-redis, and the program takes more than a minute.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func main() {
	defaults := flag.Bool("defaults", false, "keep the timeouts of go-redis")
	flag.Parse()
	var timeouts redis.Options
	if !*defaults {
		timeouts = redis.Options{
			ContextTimeoutEnabled: true,
			DialTimeout:           500 * time.Millisecond,
			DialerRetries:         1,
			ReadTimeout:           500 * time.Millisecond,
			MaxRetries:            1,
		}
	}
	if err := run(timeouts); err != nil {
		log.Fatal(err)
	}
}

func run(o redis.Options) error {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the cache would log that Redis fails
	// The operating system accepts connections for this server, and nobody answers.
	stopped, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer stopped.Close()
	o.Addr = stopped.Addr().String()

	set := func(ctx context.Context, c cache.Cache) error {
		return c.Set(ctx, "greeting", cache.Value("hello"))
	}
	once := func(ctx context.Context, c cache.Cache) error {
		var greeting string
		return c.Once(ctx, "greeting", cache.Value(&greeting),
			cache.Do(func(context.Context) (any, error) { return "hello", nil }))
	}
	rows := []struct {
		name     string
		call     func(context.Context, cache.Cache) error
		deadline time.Duration // of the caller's ctx; zero: none
		plain    string
		coherent string
	}{
		{name: "Once", call: once},
		{name: "Set", call: set},
		{name: "Once, with a deadline of 200ms", call: once, deadline: 200 * time.Millisecond},
		{name: "Set, with a deadline of 200ms", call: set, deadline: 200 * time.Millisecond},
	}
	var calls sync.WaitGroup // all run at the same time
	for i := range rows {
		row := &rows[i]
		calls.Go(func() { row.plain = measure(o, row.deadline, row.call) })
		calls.Go(func() {
			row.coherent = measure(o, row.deadline, row.call,
				cache.WithSyncLocal(true), cache.WithFence(5*time.Second), cache.WithLease(2*time.Second))
		})
	}
	calls.Wait()
	fmt.Printf("%-30s  %-14s  %s\n", "Redis does not answer", "two levels", "and sync, fence, lease")
	for _, row := range rows {
		fmt.Printf("%-30s  %-14s  %s\n", row.name, row.plain, row.coherent)
	}
	return nil
}

// measure makes one call on a new cache, and returns how long it took and how it ended.
func measure(o redis.Options, deadline time.Duration, call func(context.Context, cache.Cache) error, options ...cache.Option) string {
	client := redis.NewClient(&o)
	defer client.Close()
	store := local.NewOtter(100, time.Minute)
	defer store.Close()
	c := cache.New(append(options,
		cache.WithLocal(store), cache.WithRemote(remote.NewGoRedisV9Adapter(client)), cache.WithStatsDisabled(true))...)
	defer c.Close()

	ctx := context.Background()
	if deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, deadline)
		defer cancel()
	}
	start := time.Now()
	outcome := "ok"
	if err := call(ctx, c); err != nil {
		outcome = "error"
	}
	return fmt.Sprintf("%s in %.1fs", outcome, time.Since(start).Seconds())
}
