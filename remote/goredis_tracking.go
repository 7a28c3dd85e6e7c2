package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// Track makes Redis report the keys that change, by CLIENT TRACKING in broadcasting mode, over
// RESP3.
// https://redis.io/docs/latest/develop/reference/client-side-caching/
//
// It makes a connection of its own to the server, or to each master of a cluster. The connection
// has the client's options, but speaks RESP3. The client's hooks are not called for it. When the
// client is closed, Track returns redis.ErrClosed within about a second.
//
// Without prefixes, or with an empty one, all keys are reported. Keys of the server's other
// databases are reported, too: Redis does not say which database a key is in. A key that expires is
// reported when the server removes it. FLUSHDB and FLUSHALL are reported as nil. changed is called
// one call at a time.
//
// Track returns an error at the first sign that changes may be lost: a connection breaks; a server
// does not answer pings (two a second) for one and a half seconds; the cluster has other masters
// than before; or the client's commands are answered by another server, as after a failover. Track
// checks the last two once a second. (The last check needs the permission for INFO. Without it,
// Track notices a failover only by its connection.) A cluster client that reads from replicas may
// still read an old value after a change was reported.
//
// The error wraps ErrUnsupported if the server is older than Redis 6, if its ACL forbids the
// tracking, if one prefix begins with another (Redis refuses that), or if the client is neither a
// *redis.Client nor a *redis.ClusterClient. When ctx ends, it is ctx's error. Track closes its
// connections before it returns.
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
		return fmt.Errorf("%w: Track on a %T, whose keys move between servers without notice; %s", ErrUnsupported, r.client, insteadOfTracking)
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
	// topologyInterval is the interval at which Track checks whether it tracks the right servers.
	topologyInterval = time.Second
	// trackingChannel is a channel on which nobody publishes. The server closes a connection that
	// has subscribed and does not read (client-output-buffer-limit pubsub). For other connections,
	// the server keeps in memory what is not read, by default without a limit.
	trackingChannel = "jetcache:tracking"

	insteadOfTracking = "use WithSyncLocal(true) without tracking, which reports changes by pub/sub"
)

var errOtherServer = errors.New("the client speaks to another server than the one that is tracked, as after a failover")

// trackable returns prefixes in the form that CLIENT TRACKING accepts: without duplicates, and
// empty if all keys are to be reported. It returns an error if a prefix begins with another.
func trackable(prefixes []string) ([]string, error) {
	prefixes = slices.Compact(slices.Sorted(slices.Values(prefixes)))
	if len(prefixes) > 0 && prefixes[0] == "" {
		return nil, nil
	}
	for i := 1; i < len(prefixes); i++ {
		if strings.HasPrefix(prefixes[i], prefixes[i-1]) {
			return nil, fmt.Errorf("%w: tracking of the prefix %s together with %s, which covers it; leave the longer one out", ErrUnsupported, quote.Key(prefixes[i]), quote.Key(prefixes[i-1]))
		}
	}
	return prefixes, nil
}

// tracking is one call of Track.
type tracking struct {
	prefixes []string
	interval time.Duration
	nodes    []*trackedNode
	// verify checks whether nodes are still the servers to track. It returns an error if they are
	// not.
	verify func(ctx context.Context) error

	changes chan []string // from all nodes
	readies chan struct{} // each node sends one element
}

// onNode adds the server of client. commands is the same client.
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
		case err != nil: // it says nothing about the tracking, whose own connection is pinged
			return nil //nolint:nilerr // see above
		}
		if id := runID(info); id != "" && id != tracked {
			return errOtherServer
		}
		return nil
	}
	return nil
}

// onCluster adds all masters of cluster.
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
			return fmt.Errorf("the masters of the cluster were %s and are %s", quote.Keys(addrs), quote.Keys(now))
		}
		return nil
	}
	return nil
}

// mastersOf asks cluster for its masters, and returns their options by address. It returns ctx's
// error when ctx ends.
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
		return nil, fmt.Errorf("reading the state of the cluster: %w", err)
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

// run tracks all nodes until ctx ends, until the first node ends, or until verify returns an error.
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
	// run does not wait for verify: go-redis may keep a command running after its ctx has ended.
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

// runNode tracks node, and passes its changes on to run.
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
