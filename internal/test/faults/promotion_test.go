package faults

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// The fence of a load was replicated, and the change that came next was not. Then the replica becomes
// the master. The load must not be stored there.
func TestALoadThroughAPromotionIsNotStored(t *testing.T) {
	master := redistest.NewProcess(t)
	line, err := faultproxy.New(master.Addr())
	succeed(t, err)
	t.Cleanup(func() { _ = line.Close() })
	host, port, err := net.SplitHostPort(line.Addr())
	succeed(t, err)
	replica := redistest.NewProcess(t, "--replicaof", host+" "+port)
	client := replica.Client()
	eventually(t, func() error { return says(client, "master_link_status:up") })

	// The clients follow the master, as those of a Sentinel or a proxy do.
	var addr atomic.Value
	addr.Store(master.Addr())
	follow := func() *redis.Client {
		return newClient(t, redis.Options{
			Addr: master.Addr(), ReadTimeout: time.Second, DialerRetries: 1,
			Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr.Load().(string))
			},
		})
	}
	a, b := newCache(t, follow(), cache.WithSyncLocal(false)), newCache(t, follow(), cache.WithSyncLocal(false))

	fence, _ := remote.FenceKey("k")
	var got string
	err = a.Once(t.Context(), "k", cache.Value(&got), cache.Do(func(context.Context) (any, error) {
		eventually(t, func() error { // the fence reaches the replica
			return client.Get(t.Context(), fence).Err()
		})
		line.Cut()                             // what comes now does not reach it
		succeed(t, b.Delete(t.Context(), "k")) // the database has "new" now
		master.Kill()
		succeed(t, client.ReplicaOf(t.Context(), "NO", "ONE").Err())
		addr.Store(replica.Addr())
		return "old", nil
	}))
	succeed(t, err)
	if got := once(t, b, "k", "new", cache.SkipLocal(true)); got != "new" {
		t.Errorf("a load from before the last change is stored: reads %q", got)
	}
}

// The fence of a load is in a snapshot, and the change that came next is not. Then Redis dies and
// starts again from the snapshot. The load must not be stored.
func TestALoadThroughARestartFromASnapshotIsNotStored(t *testing.T) {
	server := redistest.NewProcess(t)
	follow := func() *redis.Client {
		return newClient(t, redis.Options{Addr: server.Addr(), ReadTimeout: time.Second, DialerRetries: 1})
	}
	a, b := newCache(t, follow(), cache.WithSyncLocal(false)), newCache(t, follow(), cache.WithSyncLocal(false))
	var got string
	err := a.Once(t.Context(), "k", cache.Value(&got), cache.Do(func(context.Context) (any, error) {
		succeed(t, server.Client().Save(t.Context()).Err())
		succeed(t, b.Delete(t.Context(), "k")) // the database has "new" now
		server.Kill()
		server.Restart()
		return "old", nil
	}))
	succeed(t, err)
	if got := once(t, b, "k", "new", cache.SkipLocal(true)); got != "new" {
		t.Errorf("a load from before the last change is stored: reads %q", got)
	}
}

// says returns an error unless the server's INFO about its replication has this line.
func says(c *redis.Client, line string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	info, err := c.InfoMap(ctx, "replication").Result()
	if err != nil {
		return err
	}
	for name, value := range info["Replication"] {
		if name+":"+value == line {
			return nil
		}
	}
	return fmt.Errorf("the server does not say %s: %v", line, info)
}
