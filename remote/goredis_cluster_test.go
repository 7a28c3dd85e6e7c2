package remote_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// keysOn returns, for each master, a key in one of its slots.
func keysOn(t *testing.T, c *redistest.Cluster) map[*redistest.Process]string {
	t.Helper()
	keys := make(map[*redistest.Process]string)
	for i := 0; len(keys) < len(c.Masters); i++ {
		key := fmt.Sprint("key", i)
		if owner := c.Owner(key); keys[owner] == "" {
			keys[owner] = key
		}
	}
	return keys
}

func TestBusOnACluster(t *testing.T) {
	c := redistest.NewCluster(t)
	sharded := remote.NewGoRedis(c.Client())
	plain := remote.NewGoRedis(c.Client(), remote.WithPlainPublish())
	for name, r := range map[string]remote.Remote{"sharded": sharded, "plain": plain} {
		t.Run(name, func(t *testing.T) {
			remotetest.RunBus(t, func(*testing.T) remote.Bus { return r.(remote.Bus) })
		})
	}
	keys := keysOn(t, c)
	var channels []string
	for _, key := range keys {
		channels = append(channels, key, "{"+key+"}#signals")
	}

	t.Run("order", func(t *testing.T) {
		for name, r := range map[string]remote.Remote{"sharded": sharded, "plain": plain} {
			sub := subscribe(t, sharded, channels...).waitReady()
			const rounds = 200
			for i := range rounds {
				for _, channel := range channels {
					publish(t, r, channel, fmt.Sprint(i))
				}
			}
			next := make(map[string]int)
			last := make(map[string]string) // the last message of a slot
			for _, got := range sub.received(rounds * len(channels)) {
				channel, message, _ := strings.Cut(got, " ")
				if message != fmt.Sprint(next[channel]) {
					t.Fatalf("%s: received %q on %q, want %d", name, message, channel, next[channel])
				}
				next[channel]++
				slot := strings.Trim(strings.TrimSuffix(channel, "#signals"), "{}")
				if last[slot] == channel {
					t.Fatalf("%s: two messages of %q came without one of its neighbour between them", name, channel)
				}
				last[slot] = channel
			}
		}
	})

	t.Run("by hand", func(t *testing.T) {
		sub := subscribe(t, sharded, channels...).waitReady()
		byHand := c.Client().Subscribe(ctx, channels...)
		defer func() { _ = byHand.Close() }()
		for range channels {
			if _, err := byHand.Receive(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for _, node := range c.Masters {
			for _, channel := range channels {
				if err := node.Client().Publish(ctx, channel, "1").Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
		sub.received(len(c.Masters) * len(channels))
		publish(t, plain, channels[0], "2")
		for {
			m, err := byHand.ReceiveMessage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if m.Payload == "2" {
				break
			}
		}
	})

	t.Run("a slot moves", func(t *testing.T) {
		sub := subscribe(t, sharded, channels...).waitReady()
		client := c.Client()
		slot, err := client.ClusterKeySlot(ctx, channels[0]).Result()
		if err != nil {
			t.Fatal(err)
		}
		from := c.Owner(channels[0])
		to := c.Masters[0]
		if to == from {
			to = c.Masters[1]
		}
		id, err := to.Client().ClusterMyID(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range []*redistest.Process{to, from} { // the slot has no keys
			if err := node.Client().Do(ctx, "cluster", "setslot", slot, "node", id).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := sub.end(); err == nil || !strings.Contains(err.Error(), "slot moves") {
			t.Errorf("it ended with %v", err)
		}
		c.WaitUntilWhole()
		var again *subscriber
		within(t, func() error { // as a caller of Subscribe does
			again = subscribe(t, sharded, channels...)
			select {
			case <-again.ready:
				return nil
			case err := <-again.ended:
				return err
			}
		})
		publish(t, sharded, channels[0], "1")
		again.received(1)
	})
}

// within calls done until it succeeds.
func within(t *testing.T, done func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestTrackOnACluster(t *testing.T) {
	c := redistest.NewClusterWithReplicas(t)
	client := c.Client()
	r := remote.NewGoRedisV9Adapter(client)
	keys := keysOn(t, c)

	tr := track(t, r).waitReady()
	for _, key := range keys {
		set(t, client, key)
		tr.heardKey(key)
	}
	if err := c.Masters[1].Client().FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	tr.heard("FLUSHALL", func(_ map[string]int, all int) bool { return all > 0 })

	t.Run("a master is replaced", func(t *testing.T) { // and its connection stays
		if err := c.Replicas[0].Client().ClusterFailover(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		if err := tr.end(); err == nil || !strings.Contains(err.Error(), "masters of the cluster") {
			t.Errorf("it ended with %v", err)
		}
		tr := trackAgain(t, r)
		for _, key := range keys {
			set(t, client, key)
			tr.heardKey(key)
		}
	})

	t.Run("a master is lost", func(t *testing.T) {
		c.WaitUntilWhole()
		tr := trackAgain(t, r)
		lost := c.Masters[1]
		lost.Pause()
		began := time.Now()
		if err := tr.end(); err == nil || !strings.Contains(err.Error(), lost.Addr()) {
			t.Errorf("it ended with %v", err)
		}
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("it took %s", d)
		}
		lost.Kill()
		c.WaitForNewMaster(lost)
		tr = trackAgain(t, r)
		for _, key := range keys {
			within(t, func() error { return client.Set(ctx, key, "v", 0).Err() })
			tr.heardKey(key)
		}
	})
}

// trackAgain calls Track until it becomes ready, as a user of it does.
func trackAgain(t *testing.T, r any) (tr *tracker) {
	t.Helper()
	within(t, func() error {
		tr = track(t, r)
		select {
		case <-tr.ready:
			return nil
		case err := <-tr.ended:
			if errors.Is(err, remote.ErrUnsupported) {
				t.Fatal(err)
			}
			return err
		}
	})
	return tr
}

// A server that hangs is noticed, although a server may have nothing to send.
func TestSilentServers(t *testing.T) {
	p := redistest.NewProcess(t)
	r := remote.NewGoRedisV9Adapter(p.Client())
	sub, tr := subscribe(t, r, "c").waitReady(), track(t, r).waitReady()
	p.Pause()
	began := time.Now()
	for name, err := range map[string]error{"Subscribe": sub.end(), "Track": tr.end()} {
		if err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("%s ended with %v", name, err)
		}
	}
	if d := time.Since(began); d < time.Second || d > 2500*time.Millisecond {
		t.Errorf("it took %s, want one and a half seconds", d)
	}
	sub, tr = subscribe(t, r, "c"), track(t, r)
	sub.cancel() // while connecting
	tr.cancel()
	began = time.Now()
	_, _ = sub.end(), tr.end()
	if d := time.Since(began); d > time.Second {
		t.Errorf("it took %s to end", d)
	}
}
