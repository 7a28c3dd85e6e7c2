package remote

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// followGroup is the Group of a channel: the client, and the hash tag if that decides to which node
// the client connects.
type followGroup struct{ client, tag any }

// SequencerOf returns the adapter; see Sequencer.
func (r *GoRedisV9Adapter) SequencerOf() Sequencer { return r }

// Group returns nil for a channel that has a "}" and no hash tag. Of the others, it returns the same
// value for all channels of a client that speaks to one node, and on a cluster or a Ring for channels
// with the same hash tag. Adapters of the same client agree.
func (r *GoRedisV9Adapter) Group(channel string) any {
	if _, err := tokenKey(channel); err != nil {
		return nil
	}
	g := followGroup{client: r.client}
	if !reflect.ValueOf(r.client).Comparable() { // a client of a user's own
		g.client = r
	}
	switch r.client.(type) {
	case clusterClient, ringClient:
		g.tag = hashed(channel)
	}
	return g
}

// Follow is Subscribe over one connection, with a Subscription. It does not ping the server.
func (r *GoRedisV9Adapter) Follow(ctx context.Context, channels []string, ready func(Subscription), receive func(channel string, message []byte)) error {
	parts, err := r.subscriptions(ctx, channels)
	if err != nil {
		return err
	}
	if len(parts) > 1 {
		return fmt.Errorf("remote: following %s: the channels need %d connections; follow only channels of one group", quote.Keys(channels), len(parts))
	}
	f := &following{subscription: parts[0], turn: make(chan struct{}, 1), ended: make(chan struct{})}
	defer close(f.ended)
	f.quiet = true
	f.connected = func(p *redis.PubSub) { f.pubsub = p }
	f.ping = f.pong
	return f.run(ctx, func() { ready(f) }, func(channel, payload string) { receive(channel, []byte(payload)) })
}

// Followers returns the number of subscriptions by PUBSUB NUMSUB. On a cluster it asks the master of
// the channel's slot, to which Follow and Subscribe connect, and on a Ring the channel's shard.
func (r *GoRedisV9Adapter) Followers(ctx context.Context, channels ...string) ([]int, error) {
	if len(channels) == 0 {
		return nil, nil
	}
	calls := [][]string{channels}
	if !r.single {
		calls = slices.Collect(slices.Chunk(channels, 1))
	}
	result := make([]int, 0, len(channels))
	for _, call := range calls {
		node, err := r.nodeOf(ctx, call[0])
		var counts map[string]int64
		if err == nil {
			counts, err = node.PubSubNumSub(ctx, call...).Result()
		}
		if err != nil {
			return nil, fmt.Errorf("remote: counting the subscribers of %s: %w", quote.Keys(call), err)
		}
		for _, channel := range call {
			result = append(result, int(counts[channel]))
		}
	}
	return result, nil
}

// nodeOf returns the client of the node to which a subscription to channel connects.
func (r *GoRedisV9Adapter) nodeOf(ctx context.Context, channel string) (redis.Cmdable, error) {
	switch client := r.client.(type) {
	case clusterClient:
		return client.MasterForKey(ctx, channel)
	case ringClient:
		return client.GetShardClientForKey(channel)
	}
	return r.client, nil
}

// following is a Subscription.
type following struct {
	*subscription
	pubsub *redis.PubSub
	turn   chan struct{} // has an element while a call sends, so that pings are sent in their order
	ended  chan struct{} // closed when Follow ends

	mu    sync.Mutex
	pings []chan struct{} // guarded by mu: the pings without a reply; each is closed by its reply
}

var errFollowEnded = errors.New("remote: the subscription has ended")

// send calls a function that sends, while no other call of it does.
func (f *following) send(ctx context.Context, send func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case f.turn <- struct{}{}:
	case <-f.ended:
		return errFollowEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.turn }()
	return send()
}

// wait waits until done is closed.
func (f *following) wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-f.ended:
		return errFollowEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Sync sends a ping on the connection. The server sends the reply behind all messages that it has
// sent, and they are received in this order.
func (f *following) Sync(ctx context.Context) error {
	ping := make(chan struct{})
	err := f.send(ctx, func() error {
		f.mu.Lock()
		f.pings = append(f.pings, ping)
		f.mu.Unlock()
		return f.pubsub.Ping(ctx)
	})
	if err != nil {
		return err
	}
	return f.wait(ctx, ping)
}

// pong handles the reply to the oldest ping without one.
func (f *following) pong() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pings) > 0 {
		close(f.pings[0])
		f.pings = f.pings[1:]
	}
}

// Add subscribes on the connection, and waits until the server has confirmed it.
func (f *following) Add(ctx context.Context, channels ...string) error {
	var settled <-chan struct{}
	err := f.send(ctx, func() (err error) {
		settled, err = f.subscribe(ctx, f.pubsub, channels, f.shardedOf(channels))
		return err
	})
	if err != nil {
		return err
	}
	return f.wait(ctx, settled)
}

// Remove unsubscribes on the connection.
func (f *following) Remove(ctx context.Context, channels ...string) error {
	return f.send(ctx, func() error { return f.unsubscribe(ctx, f.pubsub, channels, f.shardedOf(channels)) })
}

// shardedOf returns the channels that need SSUBSCRIBE, too.
func (f *following) shardedOf(channels []string) []string {
	if len(f.sharded) == 0 || f.unsharded() {
		return nil
	}
	return channels
}
