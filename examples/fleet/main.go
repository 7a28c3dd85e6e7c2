// Command fleet shows how the caches of three processes agree. Each process has a local level,
// and they share one Redis and one database. The command takes them through a slow load, a cut
// connection and a crash, prints what each process reads, and fails if a process reads what it
// should not. It runs on an embedded Redis, or on another one with -redis.
//
// Copy from node.go: it sets up the cache of a service, reads through it and changes data. The
// other files are for the demonstration: story.go has its six parts, stage.go starts and stops
// everything, watch.go follows what the nodes read, fleet.go starts nodes and sends them
// requests, api.go serves these requests, and database.go stands for a database.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"time"
)

// storyTime is how long the story may take. It usually takes about seven seconds.
const storyTime = 2 * time.Minute

func main() {
	addr := flag.String("redis", "", "address of a Redis; an embedded one if empty")
	name := flag.String("node", "", "name of this node; without it, the command starts the nodes A, B and C")
	dir := flag.String("database", "", "directory of the database; only for a node")
	flag.Parse()
	if *name != "" {
		// Ctrl-C reaches all processes. The story stops the nodes.
		signal.Ignore(os.Interrupt)
		if err := runNode(*name, *addr, *dir); err != nil {
			log.Fatal(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, storyTime)
	err := tell(ctx, *addr)
	cancel()
	stop()
	if err != nil {
		log.Fatal(err)
	}
}
