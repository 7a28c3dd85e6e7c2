// Command events lets the local levels of two nodes follow each other's changes: each node
// publishes its cache's events on a Redis channel, and drops from its local level the keys
// that the other's events name. It runs on an embedded Redis, or on one of yours with
// -redis.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/examples/internal/demoredis"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

const channel = "example:events"

// node is one replica of a service.
type node struct {
	name   string
	cache  cache.Cache
	local  *local.TinyLFU
	client *redis.Client
	sub    *redis.PubSub
	done   chan struct{}
}

func newNode(ctx context.Context, name string, server *demoredis.Server) (*node, error) {
	n := &node{name: name, client: server.Client(), local: local.NewTinyLFU(1000, time.Minute), done: make(chan struct{})}
	n.cache = cache.New(
		cache.WithName("prices"),
		cache.WithLocal(n.local),
		cache.WithRemote(remote.NewGoRedisV9Adapter(n.client)),
		cache.WithSourceId(name), // default: random
		cache.WithSyncLocal(true),
		cache.WithEventHandler(n.publish),
	)
	n.sub = n.client.Subscribe(ctx, channel)
	if _, err := n.sub.Receive(ctx); err != nil { // until the subscription stands
		return nil, fmt.Errorf("subscribing: %w", err)
	}
	go n.follow()
	return n, nil
}

// publish is the event handler: it is called from one goroutine at a time, and the writers
// do not wait for it.
func (n *node) publish(e *cache.Event) {
	message, err := json.Marshal(e)
	if err == nil {
		err = n.client.Publish(context.Background(), channel, message).Err()
	}
	if err != nil {
		log.Printf("node %s: publishing an event: %v", n.name, err)
	}
}

// follow drops the keys that others have changed.
func (n *node) follow() {
	defer close(n.done)
	for message := range n.sub.Channel() {
		var e cache.Event
		if err := json.Unmarshal([]byte(message.Payload), &e); err != nil {
			log.Printf("node %s: a message that is no event: %v", n.name, err)
			continue
		}
		if e.SourceID == n.name {
			continue // our own
		}
		for _, key := range e.Keys {
			n.cache.DeleteFromLocalCache(key)
		}
		fmt.Printf("  node %s heard of %q from node %s\n", n.name, e.Keys, e.SourceID)
	}
}

func (n *node) close() {
	n.cache.Close() // delivers the events that wait
	_ = n.sub.Close()
	<-n.done
	n.local.Close()
	_ = n.client.Close()
}

func (n *node) read(ctx context.Context, key string) string {
	var v string
	if err := n.cache.Get(ctx, key, &v); err != nil {
		return err.Error()
	}
	return v
}

func main() {
	addr := flag.String("redis", "", "address of a Redis; an embedded one if empty")
	flag.Parse()
	if err := run(*addr); err != nil {
		log.Fatal(err)
	}
}

func run(addr string) error {
	server, err := demoredis.Open(addr)
	if err != nil {
		return err
	}
	defer server.Close()
	ctx := context.Background()
	a, err := newNode(ctx, "A", server)
	if err != nil {
		return err
	}
	defer a.close()
	b, err := newNode(ctx, "B", server)
	if err != nil {
		return err
	}
	defer b.close()

	const key = "example:price:7"
	for _, price := range []string{"10.00", "12.50"} {
		fmt.Printf("Node A sets the price to %s.\n", price)
		if err := a.cache.Set(ctx, key, cache.Value(price), cache.TTL(time.Minute)); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // for the event to arrive
		fmt.Printf("  node A reads %s, node B reads %s\n", a.read(ctx, key), b.read(ctx, key))
	}
	fmt.Println("Node B deletes it.")
	if err := b.cache.Delete(ctx, key); err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Printf("  node A reads: %s\n", a.read(ctx, key))
	return nil
}
