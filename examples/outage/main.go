// Command outage shows what the callers of a service get while its Redis and its database fail in turn,
// without options and with WithResilience. It prints a line a second, for half a minute. It needs no Redis.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/redis/go-redis/v9/logging"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
)

// scene is a part of the script.
type scene struct {
	name    string
	seconds int
	redis   func(p *faultproxy.Proxy)       // begins what is wrong with Redis; nil if it is well
	query   func(ctx context.Context) error // what the database does before it answers
}

var script = []scene{
	{name: "all is well", seconds: 3, query: answer},
	{name: "Redis does not answer", seconds: 6, query: answer, redis: func(p *faultproxy.Proxy) { p.BlackHole(faultproxy.Both) }},
	{name: "all is well", seconds: 6, query: answer},
	{name: "the database fails", seconds: 4, query: fail},
	{name: "the database takes 2s", seconds: 4, query: takeLong},
	{name: "both fail", seconds: 4, query: fail, redis: (*faultproxy.Proxy).Cut},
	{name: "all is well", seconds: 3, query: answer},
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	logging.Disable() // go-redis would log each connection that fails
	plain, err := open("no options")
	if err != nil {
		return err
	}
	defer plain.close()
	state := &breakers{}
	resilient, err := open("WithResilience", cache.WithResilience(), cache.WithLogger(slog.New(state)))
	if err != nil {
		return err
	}
	defer resilient.close()

	fmt.Printf("%d callers read %d keys with a deadline of %s. Values expire after %s, and the database takes %s.\n\n",
		callers, keys, patience, ttl, queryTime)
	fmt.Printf("%-25s | %-41s | %s\n", "", plain.name, resilient.name)
	const columns = "asked   %   stale errors p99 ms loads/s"
	fmt.Printf("%-25s | %-41s | %s  breaker\n", "", columns, columns)
	ctx, stop := context.WithCancel(context.Background())
	services := []*service{plain, resilient}
	for _, s := range services {
		s.begin(script[0])
		s.start(ctx)
	}
	second := 0
	for _, next := range script {
		for _, s := range services {
			s.begin(next)
		}
		for range next.seconds {
			time.Sleep(time.Second)
			second++
			fmt.Printf("%2ds %-21s | %s   | %s  %s\n", second, next.name, plain.second(), resilient.second(), state)
		}
	}
	stop()
	fmt.Println()
	for _, s := range services {
		s.callers.Wait()
		fmt.Fprintln(os.Stdout, s.summary())
	}
	return nil
}
