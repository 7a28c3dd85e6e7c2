// Command hotkey refreshes one key in the background, in two processes on one Redis. In each
// interval one process queries the database, and the other copies the value from Redis. Only
// the first reads wait for the database. It runs on an embedded Redis, or on another one with
// -redis.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/examples/internal/demoredis"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

const (
	key      = "example:headlines"
	interval = time.Second
	duration = 5500 * time.Millisecond
)

func main() {
	addr := flag.String("redis", "", "address of a Redis; an embedded one if empty")
	process := flag.String("process", "", "name of this process; without it, the command starts the processes A and B")
	flag.Parse()
	var err error
	if *process == "" {
		err = startTwo(*addr)
	} else {
		err = serve(*process, *addr)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// startTwo runs this program twice, as two instances of a service.
func startTwo(addr string) error {
	server, err := demoredis.Open(addr)
	if err != nil {
		return err
	}
	defer server.Close()
	client := server.Client()
	defer client.Close()
	if err := client.Del(context.Background(), key).Err(); err != nil { // an earlier run may have left it
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var processes []*exec.Cmd
	for _, name := range []string{"A", "B"} {
		p := exec.Command(self, "-process", name, "-redis", server.Addr)
		p.Stdout, p.Stderr = os.Stdout, os.Stderr
		if err := p.Start(); err != nil {
			return err
		}
		processes = append(processes, p)
	}
	for _, p := range processes {
		if err := p.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// serve is one instance of the service.
func serve(name, addr string) error {
	client := demoredis.NewClient(addr)
	defer client.Close()
	store := local.NewOtter(1000, time.Minute)
	defer store.Close()
	c := cache.New(
		cache.WithName("headlines"),
		cache.WithLocal(store),
		cache.WithRemote(remote.NewGoRedisV9Adapter(client)),
		cache.WithRefreshDuration(interval),
		cache.WithLease(interval), // one process does the first load, too
	)
	defer c.Close()

	start := time.Now()
	load := func(context.Context) (any, error) {
		fmt.Printf("%4.1fs  process %s queries the database\n", time.Since(start).Seconds(), name)
		time.Sleep(100 * time.Millisecond) // a slow query
		return time.Now().Format("of 15:04:05.0"), nil
	}
	var slowest time.Duration
	reads, seen := 0, ""
	for ; time.Since(start) < duration; time.Sleep(5 * time.Millisecond) {
		asked := time.Now()
		var headlines string
		if err := c.Once(context.Background(), key, cache.Value(&headlines), cache.Do(load), cache.Refresh(true)); err != nil {
			return err
		}
		if reads > 0 { // the first read waits for the database
			slowest = max(slowest, time.Since(asked))
		}
		if reads++; headlines != seen {
			seen = headlines
			fmt.Printf("%4.1fs  process %s serves the headlines %s\n", time.Since(start).Seconds(), name, seen)
		}
	}
	fmt.Printf("process %s: %d reads; the slowest one after the first took %s\n", name, reads, slowest.Round(time.Microsecond))
	return nil
}
