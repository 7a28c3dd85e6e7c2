package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// WithPlainPublish makes Publish use PUBLISH on a cluster, too. Use it if other programs read the
// messages with SUBSCRIBE. Default: on a *redis.ClusterClient whose servers have it (Redis 7 and
// later), Publish uses SPUBLISH, which sends a message to the nodes of one shard instead of the
// whole cluster. With other clients it uses PUBLISH in any case, and this option has no effect.
// Subscribe receives both, so nodes with and without this option can be mixed.
func WithPlainPublish() GoRedisOption { return func(o *goRedisOptions) { o.plainPublish = true } }

// The clients of go-redis with which a listener works, by the methods that it needs.
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

// Publish sends message to the subscribers of channel by the pub/sub of Redis. After an error, some
// subscribers may have got the message all the same. The error wraps ErrUnsupported if the server's
// ACL forbids the command.
//
// On a cluster all messages of a channel go to the master of the channel's hash slot, by SPUBLISH
// or by PUBLISH (see WithPlainPublish), and on a Ring to the channel's shard. So the messages of
// one publisher keep their order. https://redis.io/docs/latest/develop/pubsub/
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
		r.unsharded.Store(true) // for good: PUBLISH reaches all subscribers, too
	}
	// go-redis sends each PUBLISH to another node. Then the messages may overtake each other
	// between the nodes. So the command says that the channel is a key: go-redis sends all of them
	// to the node of its slot.
	cmd := redis.NewIntCmd(ctx, "publish", channel, message)
	cmd.SetFirstKeyPos(1)
	return publishing("publish", channel, cluster.Process(ctx, cmd))
}

func publishing(command, channel string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("remote: publishing on %s: %w", quote.Key(channel), permission(err, command, channel))
}

// permission returns err. If err says that the server's ACL does not allow a command on a channel,
// it returns an error that also says how to allow it.
func permission(err error, command, channel string) error {
	if !noPermission(err) {
		return err
	}
	return fmt.Errorf("%w: the server's ACL does not allow it; grant the user +%s and the channel &%s, as by ACL SETUSER: %w", ErrUnsupported, command, quote.Line(channel), err)
}

// cannot returns the error of a call that is impossible with this client.
func (r *GoRedisV9Adapter) cannot(call string) error {
	return fmt.Errorf("%w: %s on a %T; give NewGoRedis a *redis.Client, *redis.ClusterClient or *redis.Ring itself", ErrUnsupported, call, r.client)
}

// Subscribe receives the messages of channels. It makes connections of its own with the client's
// options: one, or on a cluster one for each hash slot of a channel, or on a Ring one for each
// shard of a channel. The client's hooks are not called for them, and closing the client does not
// end them. On a cluster it connects to the master of the slot, and subscribes by SUBSCRIBE and, if
// the server has it, by SSUBSCRIBE.
//
// It returns an error at the first sign that messages may be lost: a connection breaks, the server
// does not answer pings (two a second) for one and a half seconds, or the server ends the
// subscription because the slot moves. It does not notice a failover after which the old master
// still runs and still answers: Sentinel takes ten seconds or more to close the connections of the
// old master. A program that must notice this earlier can publish messages to itself, as
// WithSyncLocal does.
//
// The error wraps ErrUnsupported if the server's ACL forbids the subscription, or if the client is
// none that can subscribe. If the client was closed before the call, it wraps redis.ErrClosed. When
// ctx ends, it is ctx's error. Subscribe closes its connections before it returns.
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

// subscription is the part of a Subscribe that uses one connection.
type subscription struct {
	listener
	node *redis.Options
}

// subscriptions returns a subscription for each connection that channels need.
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
		return nil, fmt.Errorf("remote: subscribing to %s: %w", quote.Keys(channels), err)
	}
	return &subscription{listener: listener{interval: r.pings, channels: channels}, node: listenerOptions(node.Options())}, nil
}

// open returns redis.ErrClosed if node has been closed. The dialer of a closed client may still
// work: that of a client for Sentinel would begin to watch for the master again, and nothing would
// end that.
func open(node nodeClient) error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	// Nothing is sent, because the ctx has ended.
	if err := node.Ping(ended).Err(); errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}

// onRing groups channels by shard. The Subscribe of a Ring would subscribe to all channels on the
// shard of the first one.
func (r *GoRedisV9Adapter) onRing(ring ringClient, channels []string) (parts []*subscription, err error) {
	of := make(map[*redis.Client]*subscription)
	for _, channel := range channels {
		shard, err := ring.GetShardClientForKey(channel)
		if err != nil {
			return nil, fmt.Errorf("remote: subscribing to %s: %w", quote.Key(channel), err)
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

// onCluster groups channels by hash tag, which decides their slot. The messages of the channels of
// one slot keep their order, and one SSUBSCRIBE can name only channels of one slot.
func (r *GoRedisV9Adapter) onCluster(ctx context.Context, cluster clusterClient, channels []string) (parts []*subscription, err error) {
	if err := reloadState(ctx, cluster); err != nil {
		return nil, fmt.Errorf("remote: subscribing: reading the state of the cluster: %w", err)
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
			return nil, fmt.Errorf("remote: subscribing to %s: %w", quote.Key(channel), err)
		}
		if of[tag], err = r.subscription(master, channel); err != nil {
			return nil, err
		}
		parts = append(parts, of[tag])
	}
	for _, part := range parts {
		part.sharded = part.channels
		part.spare = func(err error) (kind string) {
			// It is asked anew for each connection: the next server may be newer.
			if unknownCommand(err) {
				return kindSharded
			}
			return ""
		}
	}
	return parts, nil
}

// reloadState makes cluster read which nodes it has now.
func reloadState(ctx context.Context, cluster clusterClient) error {
	return forEachMaster(ctx, cluster, func(context.Context, *redis.Client) error { return nil })
}

// forEachMaster calls fn for each master that cluster has now. It returns when ctx ends, although
// the calls may still run then: go-redis asks one node after the other, and waits for each of them
// as long as its timeouts allow.
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

// run subscribes, and receives until the subscription ends.
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
	return fmt.Errorf("remote: subscribed to %s: %w", quote.Keys(s.channels), permission(err, command, strings.Join(s.channels, " &")))
}

// runAll runs parts at the same time, until the first of them ends.
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
