package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// WithPlainPublish makes messages of the bus go out by PUBLISH also on a cluster: for fleets in
// which other programs read them with SUBSCRIBE. Default: SPUBLISH on a *redis.ClusterClient
// whose servers have it (Redis 7 and later), which reaches the nodes of one shard instead of the
// whole cluster; PUBLISH elsewhere, where this option has no effect. Subscribe hears both, so
// nodes with and without this option understand each other.
func WithPlainPublish() GoRedisOption { return func(o *goRedisOptions) { o.plainPublish = true } }

// The clients of go-redis that can be listened to, by what is needed of them.
type (
	nodeClient interface {
		Options() *redis.Options
		Ping(ctx context.Context) *redis.StatusCmd
	}
	clusterClient interface {
		ForEachMaster(ctx context.Context, fn func(ctx context.Context, client *redis.Client) error) error
		MasterForKey(ctx context.Context, key string) (*redis.Client, error)
		Process(ctx context.Context, cmd redis.Cmder) error
	}
	ringClient interface {
		GetShardClientForKey(key string) (*redis.Client, error)
	}
)

// Publish sends message to the subscribers of channel by Redis' pub/sub. An error does not say
// that nobody has got the message. Errors wrap ErrUnsupported if the server's ACL forbids it.
//
// On a cluster all messages of a channel go to the master of the channel's hash slot, by
// SPUBLISH or by PUBLISH (WithPlainPublish), on a Ring to the channel's shard: of one publisher
// they keep their order. https://redis.io/docs/latest/develop/pubsub/
func (r *GoRedisV9Adapter) Publish(ctx context.Context, channel string, message []byte) error {
	cluster, ok := r.client.(clusterClient)
	if !ok {
		if _, queued := r.client.(*redis.Pipeline); queued {
			return r.cannot("Publish")
		}
		return publishing("publish", channel, r.client.Publish(ctx, channel, message).Err())
	}
	if !r.plainPublish && !r.unsharded.Load() {
		err := r.client.SPublish(ctx, channel, message).Err()
		if !unknownCommand(err) {
			return publishing("spublish", channel, err)
		}
		r.unsharded.Store(true) // for good: PUBLISH reaches all who subscribe
	}
	// go-redis sends each PUBLISH to another node, and by which way they go on from there
	// decides about their order; so it is told that the channel is a key.
	cmd := redis.NewIntCmd(ctx, "publish", channel, message)
	cmd.SetFirstKeyPos(1)
	return publishing("publish", channel, cluster.Process(ctx, cmd))
}

func publishing(command, channel string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("remote: publishing on %q: %w", channel, permission(err, command, channel))
}

// permission makes an error that says that the server's ACL does not allow a command on a
// channel one that says what to do.
func permission(err error, command, channel string) error {
	if !noPermission(err) {
		return err
	}
	return fmt.Errorf("%w: the server's ACL does not allow it; grant the user +%s and the channel &%s, as by ACL SETUSER: %w", ErrUnsupported, command, channel, err)
}

// cannot is the error of a call that the client cannot do.
func (r *GoRedisV9Adapter) cannot(call string) error {
	return fmt.Errorf("%w: %s on a %T; give NewGoRedis a *redis.Client, *redis.ClusterClient or *redis.Ring itself", ErrUnsupported, call, r.client)
}

// Subscribe receives what is published on channels, on connections of its own that are made
// with the client's options: one, or one for each hash slot of a cluster or shard of a Ring that
// a channel belongs to. Hooks of the client are not called for them, and closing the client
// does not end them. On a cluster it subscribes by both SSUBSCRIBE, where the server has it, and
// SUBSCRIBE, on the master of the channel's slot.
//
// It returns an error at the first sign that messages may be lost: the connection breaks, the
// server does not answer to pings (sent twice a second) for one and a half seconds, or ends the
// subscription as the slot moves. What it does not see is a failover after which the old master
// is still there and still answers: Sentinel takes ten seconds and more to close its
// connections. Who has to know sooner publishes to itself, as WithSyncLocal does.
//
// The error wraps ErrUnsupported if the server's ACL forbids the subscription, or the client is
// none that can subscribe; it is redis.ErrClosed for a client that was closed before. When ctx
// ends, it is the error of ctx. All connections are closed when it returns.
func (r *GoRedisV9Adapter) Subscribe(ctx context.Context, channels []string, ready func(), receive func(channel string, message []byte)) error {
	parts, err := r.subscriptions(ctx, channels)
	if err != nil {
		return err
	}
	if len(parts) == 1 {
		return parts[0].run(ctx, ready, func(channel, payload string) { receive(channel, []byte(payload)) })
	}
	return runAll(ctx, parts, ready, receive)
}

// subscription is the part of a Subscribe that one connection does.
type subscription struct {
	listener
	node *redis.Options
}

// subscriptions returns what to subscribe to, and where.
func (r *GoRedisV9Adapter) subscriptions(ctx context.Context, channels []string) ([]*subscription, error) {
	channels = slices.Compact(slices.Sorted(slices.Values(channels)))
	if len(channels) == 0 {
		return nil, errors.New("remote: Subscribe: no channels; name one at least")
	}
	switch client := r.client.(type) {
	case clusterClient:
		return r.onCluster(ctx, client, channels)
	case ringClient:
		return r.onRing(client, channels)
	case nodeClient:
		part, err := r.subscription(client, channels...)
		return []*subscription{part}, err
	}
	return nil, r.cannot("Subscribe")
}

func (r *GoRedisV9Adapter) subscription(node nodeClient, channels ...string) (*subscription, error) {
	if err := open(node); err != nil {
		return nil, fmt.Errorf("remote: subscribing to %q: %w", channels, err)
	}
	return &subscription{listener: listener{interval: r.pings, channels: channels}, node: listenerOptions(node.Options())}, nil
}

// open returns redis.ErrClosed if node has been closed. Its dialer may not know: that of a
// client for Sentinel would begin to ask for the master again, and nobody would end that.
func open(node nodeClient) error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	// With a ctx that has ended, nothing is sent.
	if err := node.Ping(ended).Err(); errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}

// onRing groups channels by shard: the Subscribe of a Ring would take all to that of the first.
func (r *GoRedisV9Adapter) onRing(ring ringClient, channels []string) (parts []*subscription, err error) {
	of := make(map[*redis.Client]*subscription)
	for _, channel := range channels {
		shard, err := ring.GetShardClientForKey(channel)
		if err != nil {
			return nil, fmt.Errorf("remote: subscribing to %q: %w", channel, err)
		}
		if part := of[shard]; part != nil {
			part.channels = append(part.channels, channel)
			continue
		}
		if of[shard], err = r.subscription(shard, channel); err != nil {
			return nil, err
		}
		parts = append(parts, of[shard])
	}
	return parts, nil
}

// onCluster groups channels by hash tag, which decides about their slot: channels of one slot
// keep the order of their messages, and SSUBSCRIBE takes no others together.
func (r *GoRedisV9Adapter) onCluster(ctx context.Context, cluster clusterClient, channels []string) (parts []*subscription, err error) {
	if err := reloadState(ctx, cluster); err != nil {
		return nil, fmt.Errorf("remote: subscribing: the state of the cluster: %w", err)
	}
	of := make(map[string]*subscription)
	for _, channel := range channels {
		tag := hashed(channel)
		if part := of[tag]; part != nil {
			part.channels = append(part.channels, channel)
			continue
		}
		master, err := cluster.MasterForKey(ctx, channel)
		if err != nil {
			return nil, fmt.Errorf("remote: subscribing to %q: %w", channel, err)
		}
		if of[tag], err = r.subscription(master, channel); err != nil {
			return nil, err
		}
		parts = append(parts, of[tag])
	}
	for _, part := range parts {
		part.sharded = part.channels
		part.spare = func(err error) (kind string) {
			// This is not remembered: the next server may be a newer one.
			if unknownCommand(err) {
				return kindSharded
			}
			return ""
		}
	}
	return parts, nil
}

// reloadState has cluster find out about its nodes.
func reloadState(ctx context.Context, cluster clusterClient) error {
	return forEachMaster(ctx, cluster, func(context.Context, *redis.Client) error { return nil })
}

// forEachMaster calls fn for each master that cluster has now. It does not wait for that longer
// than ctx: go-redis asks one node after the other, each for as long as its timeouts allow.
func forEachMaster(ctx context.Context, cluster clusterClient, fn func(context.Context, *redis.Client) error) error {
	done := make(chan error, 1)
	go func() { done <- cluster.ForEachMaster(ctx, fn) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run subscribes and receives.
func (s *subscription) run(ctx context.Context, ready func(), message func(channel, payload string)) error {
	s.confirmed, s.message = ready, message
	err := s.listener.run(ctx, s.node)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	command := "subscribe"
	if len(s.sharded) > 0 {
		command += " +ssubscribe"
	}
	return fmt.Errorf("remote: subscribed to %q: %w", s.channels, permission(err, command, strings.Join(s.channels, " &")))
}

// runAll runs parts together, until the first of them ends.
func runAll(ctx context.Context, parts []*subscription, ready func(), receive func(channel string, message []byte)) error {
	type message struct{ channel, payload string }
	messages, readies := make(chan message), make(chan struct{})
	ended := make(chan error, len(parts))
	running, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, part := range parts {
		wg.Go(func() {
			ended <- part.run(running, func() {
				select {
				case readies <- struct{}{}:
				case <-running.Done():
				}
			}, func(channel, payload string) {
				select {
				case messages <- message{channel, payload}:
				case <-running.Done():
				}
			})
		})
	}
	for left := len(parts); ; {
		select {
		case m := <-messages:
			receive(m.channel, []byte(m.payload))
		case <-readies:
			if left--; left == 0 {
				ready()
			}
		case err := <-ended:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
	}
}
