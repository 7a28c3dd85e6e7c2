// Command fleet shows what keeps the caches of a fleet right: three processes with a local level
// each, one Redis, and a database in files, through a race, a cut line and a crash. It tells what
// it sees, and fails if that is not what should be. It runs on an embedded Redis, or on one of
// yours with -redis.
//
// What to copy is in node.go: how a service sets its cache up, reads and changes. The other files
// are the story: story.go tells it, stage.go sets it up, watch.go looks what the nodes have,
// fleet.go starts them and talks to them, api.go is their side of that, and database.go stands
// for a database.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"time"
)

// storyTime is when the story is given up: it takes some seven seconds.
const storyTime = 2 * time.Minute

func main() {
	addr := flag.String("redis", "", "address of a Redis; an embedded one if empty")
	name := flag.String("node", "", "name of this node; the command starts three by itself")
	dir := flag.String("database", "", "directory of the database, for a node")
	flag.Parse()
	if *name != "" {
		// At Ctrl-C, the story has its nodes end.
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
