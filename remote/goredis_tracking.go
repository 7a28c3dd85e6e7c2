package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"
)

// Track has Redis tell of keys that change: CLIENT TRACKING in broadcasting mode, over RESP3.
// https://redis.io/docs/latest/develop/reference/client-side-caching/
//
// It has a connection of its own to the server, or to each master of a cluster, that is made
// with the client's options, but speaks RESP3. Hooks of the client are not called for it. It ends
// with redis.ErrClosed, within about a second, when the client is closed. No prefixes, or an empty one, mean all keys. Keys of the
// server's other databases are reported, too: Redis does not tell which database a key is in.
// A key that expires is reported when the server removes it. FLUSHDB and FLUSHALL are reported
// as nil. changed is called one at a time.
//
// It returns an error at the first sign that changes may be missed: a connection breaks; a
// server does not answer to pings (sent twice a second) for one and a half seconds; the cluster
// has other masters, or the client's commands are answered by another server, as after a
// failover, of which both are looked at once a second. (The latter needs the permission for
// INFO; without it, only the connection tells of a failover.) Replicas of which a cluster client
// reads may still have an old value when a change is reported.
//
// It wraps ErrUnsupported if the server is older than Redis 6, if its ACL forbids the tracking,
// if one of prefixes begins with another, which Redis refuses, and for a client that is neither
// a *redis.Client nor a *redis.ClusterClient. When ctx ends, it is the error of ctx. All
// connections are closed when it returns.
func (r *GoRedisV9Adapter) Track(ctx context.Context, prefixes []string, ready func(), changed func(keys []string)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prefixes, err := trackable(prefixes)
	if err != nil {
		return err
	}
	t := &tracking{prefixes: prefixes, interval: r.pings, changes: make(chan []string), readies: make(chan struct{})}
	switch client := r.client.(type) {
	case clusterClient:
		err = t.onCluster(ctx, client)
	case ringClient:
		return fmt.Errorf("%w: Track on a %T, whose keys move between servers unseen; %s", ErrUnsupported, r.client, insteadOfTracking)
	case nodeClient:
		err = t.onNode(r.client, client)
	default:
		return r.cannot("Track")
	}
	if err != nil {
		return fmt.Errorf("remote: tracking: %w", err)
	}
	return t.run(ctx, ready, changed)
}

const (
	// topologyInterval is how often it is looked whether the servers are still the right ones.
	topologyInterval = time.Second
	// trackingChannel is a channel on which nobody publishes. A connection that has subscribed
	// is closed by the server when it does not read (client-output-buffer-limit pubsub); for
	// others, what is not read stays in the server's memory, without a limit by default.
	trackingChannel = "jetcache:tracking"

	insteadOfTracking = "use WithSyncLocal(true) alone, which tells of changes by pub/sub"
)

var errOtherServer = errors.New("the client speaks to another server than the one that is tracked, as after a failover")

// trackable returns prefixes as CLIENT TRACKING takes them: each once, and none that begins
// with another. None at all means all keys.
func trackable(prefixes []string) ([]string, error) {
	prefixes = slices.Compact(slices.Sorted(slices.Values(prefixes)))
	if len(prefixes) > 0 && prefixes[0] == "" {
		return nil, nil
	}
	for i := 1; i < len(prefixes); i++ {
		if strings.HasPrefix(prefixes[i], prefixes[i-1]) {
			return nil, fmt.Errorf("%w: tracking of the prefix %q together with %q, which covers it; leave the longer one out", ErrUnsupported, prefixes[i], prefixes[i-1])
		}
	}
	return prefixes, nil
}

// tracking is one call of Track.
type tracking struct {
	prefixes []string
	interval time.Duration
	nodes    []*trackedNode
	// verify looks whether nodes are still what has to be tracked. An error says that they are not.
	verify func(ctx context.Context) error

	changes chan []string // from all nodes
	readies chan struct{} // one from each node
}

// onNode tracks the server that client, which is also given as commands, speaks to.
func (t *tracking) onNode(commands redis.Cmdable, client nodeClient) error {
	if err := open(client); err != nil {
		return err
	}
	node := t.add(client.Options())
	t.verify = func(ctx context.Context) error {
		tracked, _ := node.runID.Load().(string)
		if tracked == "" {
			return nil
		}
		info, err := commands.Info(ctx, "server").Result()
		switch {
		case errors.Is(err, redis.ErrClosed):
			return err
		case err != nil: // says nothing about the tracking: its own connection is pinged
			return nil
		}
		if id := runID(info); id != "" && id != tracked {
			return errOtherServer
		}
		return nil
	}
	return nil
}

// onCluster tracks all masters of cluster.
func (t *tracking) onCluster(ctx context.Context, cluster clusterClient) error {
	masters, err := mastersOf(ctx, cluster)
	if err != nil {
		return err
	}
	addrs := slices.Sorted(maps.Keys(masters))
	for _, addr := range addrs {
		t.add(masters[addr])
	}
	t.verify = func(ctx context.Context) error {
		masters, err := mastersOf(ctx, cluster)
		if err != nil {
			return err
		}
		if now := slices.Sorted(maps.Keys(masters)); !slices.Equal(now, addrs) {
			return fmt.Errorf("the masters of the cluster were %q and are %q", addrs, now)
		}
		return nil
	}
	return nil
}

// mastersOf asks cluster for its masters. It does not wait for that longer than ctx.
func mastersOf(ctx context.Context, cluster clusterClient) (map[string]*redis.Options, error) {
	var mu sync.Mutex
	masters := make(map[string]*redis.Options) // guarded by mu
	err := forEachMaster(ctx, cluster, func(_ context.Context, master *redis.Client) error {
		if err := open(master); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		masters[master.Options().Addr] = master.Options()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the state of the cluster: %w", err)
	}
	if len(masters) == 0 {
		return nil, errors.New("the cluster has no masters")
	}
	return masters, nil
}

func (t *tracking) add(options *redis.Options) *trackedNode {
	node := &trackedNode{options: listenerOptions(options), addr: options.Addr, prefixes: t.prefixes}
	node.interval = t.interval
	t.nodes = append(t.nodes, node)
	return node
}

// run tracks all nodes until ctx or the first of them ends, or they are no longer the right ones.
func (t *tracking) run(ctx context.Context, ready func(), changed func(keys []string)) error {
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, len(t.nodes))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, node := range t.nodes {
		wg.Go(func() { ended <- t.runNode(running, node) })
	}
	verified := make(chan error, 1)
	// A verification is not waited for: go-redis does not let go of a command when its ctx ends.
	verify := func() { go func() { verified <- t.verify(running) }() }
	next := time.NewTimer(topologyInterval)
	next.Stop()
	defer next.Stop()
	for left, isReady := len(t.nodes), false; ; {
		select {
		case keys := <-t.changes:
			changed(keys)
		case <-t.readies:
			if left--; left == 0 {
				verify()
			}
		case <-next.C:
			verify()
		case err := <-verified:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("remote: tracking: %w", err)
			}
			if !isReady {
				isReady = true
				ready()
			}
			next.Reset(topologyInterval)
		case err := <-ended:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
	}
}

// runNode tracks node, and hands what it tells to run.
func (t *tracking) runNode(ctx context.Context, node *trackedNode) error {
	node.confirmed = func() {
		select {
		case t.readies <- struct{}{}:
		case <-ctx.Done():
		}
	}
	node.changed = func(keys []string) {
		select {
		case t.changes <- keys:
		case <-ctx.Done():
		}
	}
	if err := node.run(ctx); err != nil {
		return fmt.Errorf("remote: tracking %s: %w", node.addr, err)
	}
	return nil
}

// trackedNode is the connection to one server.
type trackedNode struct {
	listener
	options  *redis.Options
	addr     string
	prefixes []string
	changed  func(keys []string)
	runID    atomic.Value // string: of the server, if it says
}

func (n *trackedNode) run(ctx context.Context) error {
	processor := redis.NewPushNotificationProcessor()
	if err := processor.RegisterHandler("invalidate", n, false); err != nil {
		return err
	}
	n.options.PushNotificationProcessor = processor
	n.options.Protocol = 3
	users := n.options.OnConnect
	n.options.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		if users != nil {
			if err := users(ctx, conn); err != nil {
				return err
			}
		}
		return n.begin(ctx, conn)
	}
	n.channels = []string{trackingChannel}
	n.spare = func(err error) (kind string) {
		if noPermission(err) {
			return kindPlain // it can be done without
		}
		return ""
	}
	return n.listener.run(ctx, n.options)
}

// begin switches tracking on.
func (n *trackedNode) begin(ctx context.Context, conn *redis.Conn) error {
	// Where RESP3 is refused, go-redis goes on with RESP2, and Redis switches tracking on all the
	// same, but has no way to tell.
	hello := redis.NewCmd(ctx, "hello", 3)
	_ = conn.Process(ctx, hello)
	if isReply(hello.Err()) {
		return untrackable("RESP3 (Redis 6 and later, HELLO)", hello.Err())
	} else if hello.Err() != nil {
		return hello.Err()
	}
	if about, ok := hello.Val().(map[any]any); !ok || about["proto"] != int64(3) {
		return fmt.Errorf("%w: the server does not speak RESP3 (Redis 6 and later); %s", ErrUnsupported, insteadOfTracking)
	}
	info, err := conn.Info(ctx, "server").Result()
	if err != nil && !isReply(err) {
		return err
	}
	n.runID.Store(runID(info))
	args := []any{"client", "tracking", "on", "bcast"}
	for _, prefix := range n.prefixes {
		args = append(args, "prefix", prefix)
	}
	on := redis.NewCmd(ctx, args...)
	_ = conn.Process(ctx, on)
	if isReply(on.Err()) {
		return untrackable("CLIENT TRACKING (+client|tracking +subscribe +ping)", on.Err())
	}
	return on.Err()
}

// untrackable returns the error for a server that has refused what is needed. Other replies than
// these, such as LOADING or BUSY, are for a time only.
func untrackable(what string, err error) error {
	switch {
	case noPermission(err):
		return fmt.Errorf("%w: the server's ACL does not allow %s; grant that to the user, or %s: %w", ErrUnsupported, what, insteadOfTracking, err)
	case strings.HasPrefix(err.Error(), "ERR "), strings.HasPrefix(err.Error(), "NOPROTO "):
		return fmt.Errorf("%w: the server refuses %s; %s: %w", ErrUnsupported, what, insteadOfTracking, err)
	}
	return err
}

// runID returns the id that a server gave itself when it started, from its INFO.
func runID(info string) string {
	_, rest, _ := strings.Cut(info, "\nrun_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id
}

// HandlePushNotification takes "invalidate" and the keys, or null for all keys. It is called
// by the goroutine that reads the connection. What it cannot understand ends the tracking:
// go-redis would only log an error.
func (n *trackedNode) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, notification []any) error {
	if len(notification) == 2 && notification[1] == nil {
		n.changed(nil)
		return nil
	}
	var names []any
	ok := len(notification) == 2
	if ok {
		names, ok = notification[1].([]any)
	}
	keys := make([]string, len(names))
	for i, name := range names {
		var text bool
		keys[i], text = name.(string)
		ok = ok && text
	}
	if !ok {
		n.end(fmt.Errorf("the server's message of invalid keys cannot be understood: %.200q", fmt.Sprint(notification...)))
		return nil
	}
	if len(keys) > 0 {
		n.changed(keys)
	}
	return nil
}
