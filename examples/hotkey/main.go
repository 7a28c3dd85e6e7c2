// Command hotkey keeps one hot key fresh in the background, with two processes on one
// Redis: in each interval one of them asks the database, and the other copies its answer.
// No reader ever waits for the database after the first. It runs on an embedded Redis, or
// on one of yours with -redis.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"time"

	"github.com/redis/go-redis/v9"

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
	process := flag.String("process", "", "name of this process; the command starts two by itself")
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

// startTwo runs this program twice, as two replicas of a service.
func startTwo(addr string) error {
	server, err := demoredis.Open(addr)
	if err != nil {
		return err
	}
	defer server.Close()
	client := server.Client()
	defer client.Close()
	if err := client.Del(context.Background(), key).Err(); err != nil { // what an earlier run has left
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

// serve is one replica.
func serve(name, addr string) error {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	store := local.NewTinyLFU(1000, time.Minute)
	defer store.Close()
	c := cache.New(
		cache.WithName("headlines"),
		cache.WithLocal(store),
		cache.WithRemote(remote.NewGoRedisV9Adapter(client)),
		cache.WithRefreshDuration(interval),
	)
	defer c.Close()

	start := time.Now()
	load := func(context.Context) (any, error) {
		fmt.Printf("%4.1fs  process %s asks the database\n", time.Since(start).Seconds(), name)
		time.Sleep(100 * time.Millisecond) // a slow query
		return time.Now().Format("as of 15:04:05.0"), nil
	}
	var slowest time.Duration
	reads, seen := 0, ""
	for ; time.Since(start) < duration; time.Sleep(5 * time.Millisecond) {
		asked := time.Now()
		var headlines string
		if err := c.Once(context.Background(), key, cache.Value(&headlines), cache.Do(load), cache.Refresh(true)); err != nil {
			return err
		}
		if reads > 0 { // the first has to wait
			slowest = max(slowest, time.Since(asked))
		}
		if reads++; headlines != seen {
			seen = headlines
			fmt.Printf("%4.1fs  process %s now serves the headlines %s\n", time.Since(start).Seconds(), name, seen)
		}
	}
	fmt.Printf("process %s: %d reads, after the first the slowest took %s\n", name, reads, slowest.Round(time.Microsecond))
	return nil
}
