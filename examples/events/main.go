// Command events sends the events of two caches over a Redis channel of its own, so that
// each node drops from its local level what the other one has changed. It runs on an
// embedded Redis, or on another one with -redis.
//
// WithSyncLocal(true) alone does the same without this code, and also notices lost messages;
// see the example fleet. A handler is for messages that go over another system, or in
// another form.
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

// node is one instance of a service.
type node struct {
	name   string
	cache  cache.Cache
	store  *local.Otter
	client *redis.Client
	sub    *redis.PubSub
	// heard receives a value when the node has dropped what an event of the other node names.
	heard chan struct{}
	// done is closed when follow has returned.
	done chan struct{}
}

// newNode starts a node. Call close to stop it.
func newNode(ctx context.Context, name string, server *demoredis.Server) (*node, error) {
	n := &node{
		name: name, client: server.Client(), store: local.NewOtter(1000, time.Minute),
		heard: make(chan struct{}, 10), done: make(chan struct{}),
	}
	n.cache = cache.New(
		cache.WithName("prices"),
		cache.WithLocal(n.store),
		cache.WithRemote(remote.NewGoRedisV9Adapter(n.client)),
		cache.WithSourceId(name), // the default is random
		cache.WithSyncLocal(true),
		cache.WithEventHandler(n.publish),
	)
	n.sub = n.client.Subscribe(ctx, channel)
	if _, err := n.sub.Receive(ctx); err != nil { // waits until Redis has confirmed it
		return nil, fmt.Errorf("subscribing: %w", err)
	}
	go n.follow()
	return n, nil
}

// publish is the event handler. One goroutine calls it, and Set and Delete do not wait for it.
func (n *node) publish(e *cache.Event) {
	message, err := json.Marshal(e)
	if err == nil {
		err = n.client.Publish(context.Background(), channel, message).Err()
	}
	if err != nil {
		log.Printf("node %s: publishing an event: %v", n.name, err)
	}
}

// follow drops from the local level what the other node has changed.
func (n *node) follow() {
	defer close(n.done)
	for message := range n.sub.Channel() {
		var e cache.Event
		if err := json.Unmarshal([]byte(message.Payload), &e); err != nil {
			log.Printf("node %s: a message is not an event: %v", n.name, err)
			continue
		}
		if e.SourceID == n.name {
			continue // the node's own event
		}
		for _, key := range e.Keys {
			n.cache.DeleteFromLocalCache(key)
		}
		fmt.Printf("  node %s drops %q, which node %s has changed\n", n.name, e.Keys, e.SourceID)
		n.heard <- struct{}{}
	}
}

// wait waits until follow has handled an event.
func (n *node) wait() error {
	select {
	case <-n.heard:
		return nil
	case <-time.After(5 * time.Second):
		return fmt.Errorf("node %s got no event within 5s", n.name)
	}
}

// close stops the node.
func (n *node) close() {
	n.cache.Close() // delivers the events that wait
	_ = n.sub.Close()
	<-n.done
	n.store.Close()
	_ = n.client.Close()
}

// read returns the value of key, or the text of the error.
func (n *node) read(ctx context.Context, key string) string {
	var v string
	if err := n.cache.Get(ctx, key, &v); err != nil {
		return fmt.Sprintf("error %q", err)
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
		if err := b.wait(); err != nil {
			return err
		}
		fmt.Printf("  node A reads %s, node B reads %s\n", a.read(ctx, key), b.read(ctx, key))
	}
	fmt.Println("Node B deletes the price.")
	if err := b.cache.Delete(ctx, key); err != nil {
		return err
	}
	if err := a.wait(); err != nil {
		return err
	}
	fmt.Printf("  node A reads %s\n", a.read(ctx, key))
	return nil
}
