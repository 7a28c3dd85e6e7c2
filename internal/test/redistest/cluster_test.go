package redistest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestClusterServesAllSlots(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := NewCluster(t)
	t.Logf("ready after %v", time.Since(began))
	client, ctx := c.Client(), context.Background()
	owners := map[*Process]int{}
	for i := range 60 {
		key := fmt.Sprint("key", i)
		if err := client.Set(ctx, key, i, 0).Err(); err != nil {
			t.Fatal(err)
		}
		owner := c.Owner(key)
		owners[owner]++
		if got, err := owner.Client().Get(ctx, key).Int(); got != i || err != nil {
			t.Errorf("%s at its owner %s: %d, %v", key, owner.Addr(), got, err)
		}
	}
	if len(owners) != 3 || len(c.Masters) != 3 || len(c.Replicas) != 0 || len(c.Addrs()) != 3 {
		t.Errorf("keys per owner %v, masters %d, replicas %d, addresses %v", owners, len(c.Masters), len(c.Replicas), c.Addrs())
	}
}

func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := NewClusterWithReplicas(t)
	t.Logf("ready after %v", time.Since(began))
	ctx, key := context.Background(), "key"
	client, old := c.Client(), c.Owner(key)
	if err := client.Set(ctx, key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := old.Client().Wait(ctx, 1, time.Second).Result(); n < 1 {
		t.Fatalf("the replica does not follow: %v", err)
	}

	began = time.Now()
	old.Kill()
	next := c.WaitForNewMaster(old)
	t.Logf("failover after %v", time.Since(began))
	if next == old || c.Owner(key) != next {
		t.Errorf("%s was followed by %s, but %s owns the key", old.Addr(), next.Addr(), c.Owner(key).Addr())
	}
	within(t, 10*time.Second, func() error { return client.Set(ctx, key, "w", 0).Err() })
	if got := client.Get(ctx, key).Val(); got != "w" {
		t.Errorf("after the failover: %q", got)
	}

	old.Restart()
	c.WaitUntilWhole()
	if got := c.Owner(key); got != next {
		t.Errorf("the restarted node took over from %s", got.Addr())
	}
}
