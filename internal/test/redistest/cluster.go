package redistest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cluster is a Redis Cluster of three masters that belongs to one test. It ends with the test. If a
// method waits too long, it fails the test by t.Fatal. So only the test's own goroutine may call
// the methods.
type Cluster struct {
	// Masters are the nodes that began as masters, in the order of their slots.
	Masters []*Process
	// Replicas are the nodes that began as replicas, each of the master with its index.
	// There are none without NewClusterWithReplicas.
	Replicas []*Process

	t     testing.TB
	nodes []node // masters first
}

// node is a process, with a client for the commands that each node must answer itself.
type node struct {
	*Process
	client *redis.Client
}

// NewCluster starts a cluster of three masters. If there is no redis-server in the PATH, it skips
// the test with the reason. It returns when all nodes serve all slots. That takes two seconds: for
// so long a new master refuses to serve. The args are appended to the command line of each node, as
// in NewCluster(t, "--cluster-require-full-coverage", "no").
func NewCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	return newCluster(t, 0, args)
}

// NewClusterWithReplicas is NewCluster with one replica for each master. A replica becomes master
// three to four seconds after its master has gone.
func NewClusterWithReplicas(t testing.TB, args ...string) *Cluster {
	t.Helper()
	return newCluster(t, 1, args)
}

// Addrs are the addresses of all nodes, masters first.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.Addr())
	}
	return addrs
}

// Options returns options for a client of the cluster, which a test may change. The client reads
// the topology every half second. With the default, go-redis would go on asking a dead master for
// up to a minute, because no server answers MOVED.
func (c *Cluster) Options() *redis.ClusterOptions {
	return &redis.ClusterOptions{Addrs: c.Addrs(), ClusterStateReloadInterval: 500 * time.Millisecond}
}

// Client returns a client with these options, closed with the test.
func (c *Cluster) Client() *redis.ClusterClient {
	client := redis.NewClusterClient(c.Options())
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Owner returns the node that is the master of key's slot, in the view of the first node that is
// up.
func (c *Cluster) Owner(key string) *Process {
	c.t.Helper()
	ctx := context.Background()
	for _, n := range c.up() {
		slot, err := n.client.ClusterKeySlot(ctx, key).Result()
		if err != nil {
			continue
		}
		owners, err := n.owners(ctx)
		if err != nil {
			continue
		}
		for _, other := range c.nodes {
			if other.Addr() == owners[slot] {
				return other.Process
			}
		}
	}
	c.t.Fatalf("no node of the cluster knows which node serves the key %q", key)
	return nil
}

// WaitForNewMaster waits until another node is the master of old's slots, and returns it. old was
// killed or paused. All nodes that are up must agree on the new master. The cluster must have
// replicas.
func (c *Cluster) WaitForNewMaster(old *Process) *Process {
	c.t.Helper()
	next := c.partner(old)
	if next == nil {
		c.t.Fatalf("%s has no replica", old.Addr())
	}
	within(c.t, 30*time.Second, func() error {
		ctx := context.Background()
		for _, n := range c.up() {
			if err := n.serves(ctx); err != nil {
				return err
			}
			owners, err := n.owners(ctx)
			if err != nil {
				return err
			}
			found := false
			for _, owner := range owners {
				found = found || owner == next.Addr()
				if owner == old.Addr() {
					return fmt.Errorf("%s still takes %s for a master", n.Addr(), owner)
				}
			}
			if !found {
				return fmt.Errorf("%s does not know that %s is a master", n.Addr(), next.Addr())
			}
		}
		return nil
	})
	return next
}

// WaitUntilWhole waits until all nodes are up and know each other, and all replicas follow their
// masters.
func (c *Cluster) WaitUntilWhole() {
	c.t.Helper()
	within(c.t, 30*time.Second, func() error {
		ctx := context.Background()
		for _, n := range c.nodes {
			if !n.Up() {
				return fmt.Errorf("%s is not up", n.Addr())
			}
			if err := n.serves(ctx); err != nil {
				return err
			}
			if err := n.knows(ctx, len(c.nodes), len(c.Replicas)); err != nil {
				return err
			}
		}
		return nil
	})
}

const slots = 16384

// newCluster starts three masters, each with zero or one replicas, and joins them.
func newCluster(t testing.TB, replicas int, args []string) *Cluster {
	t.Helper()
	const masters = 3
	c := &Cluster{t: t}
	for range masters * (1 + replicas) {
		p := NewProcess(t, append([]string{
			"--cluster-enabled", "yes",
			"--cluster-announce-ip", host,
			// It is short, for a quick failover, but long enough for a machine with few cores.
			"--cluster-node-timeout", "1500",
			// A replica may become master however long it was without its master.
			"--cluster-replica-validity-factor", "0",
		}, args...)...)
		c.nodes = append(c.nodes, node{p, p.Client()})
		if len(c.Masters) < masters {
			c.Masters = append(c.Masters, p)
		} else {
			c.Replicas = append(c.Replicas, p)
		}
	}
	c.join()
	c.WaitUntilWhole()
	return c
}

// join makes the nodes one cluster.
func (c *Cluster) join() {
	c.t.Helper()
	ctx, masters := context.Background(), len(c.Masters)
	do := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatalf("forming a cluster: %v", err)
		}
	}
	for i, n := range c.nodes {
		// With different epochs from the start, the nodes have no conflict to resolve.
		do(n.client.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
		if i < masters {
			do(n.client.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err())
		}
		// All nodes meet all others: gossip would take a second more.
		for _, other := range c.nodes[:i] {
			do(n.client.ClusterMeet(ctx, host, strconv.Itoa(other.port)).Err())
		}
	}
	within(c.t, 30*time.Second, func() error {
		for _, n := range c.nodes {
			if err := n.knows(ctx, len(c.nodes), 0); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range c.Replicas {
		id, err := c.nodes[i].client.ClusterMyID(ctx).Result()
		do(err)
		do(c.nodes[masters+i].client.ClusterReplicate(ctx, id).Err())
	}
}

// up returns the nodes that are neither killed nor paused.
func (c *Cluster) up() []node {
	var up []node
	for _, n := range c.nodes {
		if n.Up() {
			up = append(up, n)
		}
	}
	return up
}

// partner returns the replica of a master, or the master of a replica, or nil.
func (c *Cluster) partner(p *Process) *Process {
	for i, replica := range c.Replicas {
		switch p {
		case replica:
			return c.Masters[i]
		case c.Masters[i]:
			return replica
		}
	}
	return nil
}

// serves returns an error unless the node says that the cluster serves all slots.
func (n node) serves(ctx context.Context) error {
	info, err := n.client.ClusterInfo(ctx).Result()
	if err != nil {
		return fmt.Errorf("%s: %w", n.Addr(), err)
	}
	for _, want := range []string{"cluster_state:ok\r\n", fmt.Sprintf("cluster_slots_assigned:%d\r\n", slots)} {
		if !strings.Contains(info, want) {
			return fmt.Errorf("%s does not say %q:\n%s", n.Addr(), want, info)
		}
	}
	return nil
}

// knows returns an error unless the node sees this number of nodes, and of replicas among them, all
// of them healthy. If the node is a replica, it must be in sync with its master.
func (n node) knows(ctx context.Context, all, replicas int) error {
	list, err := n.client.ClusterNodes(ctx).Result()
	if err != nil {
		return fmt.Errorf("%s: %w", n.Addr(), err)
	}
	lines, following := strings.Split(strings.TrimSpace(list), "\n"), 0
	for _, line := range lines {
		// <id> <address> <flags> <master> <ping> <pong> <epoch> <link> <slots>...
		fields := strings.Fields(line)
		if len(fields) < 8 || strings.Contains(fields[2], "fail") ||
			strings.Contains(fields[2], "handshake") || fields[7] != "connected" {
			return fmt.Errorf("%s sees trouble: %s", n.Addr(), line)
		}
		if strings.Contains(fields[2], "slave") {
			following++
		}
	}
	if len(lines) != all || following != replicas {
		return fmt.Errorf("%s does not see %d nodes, of them %d replicas:\n%s", n.Addr(), all, replicas, list)
	}
	info, err := n.client.Info(ctx, "replication").Result()
	if err != nil {
		return fmt.Errorf("%s: %w", n.Addr(), err)
	}
	if strings.Contains(info, "master_link_status:down") {
		return fmt.Errorf("%s is not in sync with its master", n.Addr())
	}
	return nil
}

// owners returns the addresses of the masters by slot, in the view of the node.
func (n node) owners(ctx context.Context) (map[int64]string, error) {
	list, err := n.client.ClusterNodes(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Addr(), err)
	}
	owners := map[int64]string{}
	for line := range strings.SplitSeq(strings.TrimSpace(list), "\n") {
		fields := strings.Fields(line) // as in knows
		if len(fields) < 9 {
			continue
		}
		addr, _, _ := strings.Cut(fields[1], "@")
		for _, part := range fields[8:] {
			first, last, isRange := strings.Cut(part, "-")
			if !isRange {
				last = first
			}
			from, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				continue // a slot that migrates: [slot->-node]
			}
			to, err := strconv.ParseInt(last, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s lists %q: %w", n.Addr(), line, err)
			}
			for slot := from; slot <= to; slot++ {
				owners[slot] = addr
			}
		}
	}
	return owners, nil
}

// within calls done until it returns nil. After the limit, it fails the test with the last error.
func within(t testing.TB, limit time.Duration, done func() error) {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %v", limit, err)
		}
	}
}
