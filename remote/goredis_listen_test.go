package remote_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestSubscribeEndsWithItsContext(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		r := remote.NewGoRedisV9Adapter(s.Client)
		sub := subscribe(t, r, t.Name()).waitReady()
		sub.cancel()
		began := time.Now()
		if err := sub.end(); !errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
			t.Errorf("it ended after %s with %v", time.Since(began), err)
		}
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			n, err := s.Client.PubSubNumSub(ctx, t.Name()).Result()
			if err == nil && n[t.Name()] == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the server has subscribers: %v, %v", n, err)
			}
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		err := r.(remote.Bus).Subscribe(ended, []string{"c"}, func() { t.Error("it became ready") }, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with a ctx that has ended: %v", err)
		}
	})
}

func TestSubscribeEndsWithItsConnection(t *testing.T) {
	s := own(t)
	r := remote.NewGoRedisV9Adapter(s.Client)
	sub := subscribe(t, r, t.Name()).waitReady()
	if err := s.Client.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	if err := sub.end(); err == nil || !strings.Contains(err.Error(), t.Name()) {
		t.Errorf("it ended with %v, want an error that names the channel", err)
	}
	subscribe(t, r, t.Name()).waitReady()
}

func TestSubscribeWithoutAServer(t *testing.T) {
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	r := remote.NewGoRedisV9Adapter(client)
	sub := subscribe(t, r, "c").waitReady()
	m.Close()
	if err := sub.end(); err == nil || errors.Is(err, remote.ErrUnsupported) {
		t.Errorf("it ended with %v", err)
	}
	if err := subscribe(t, r, "c").end(); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("without a server: %v", err)
	}
}

// optionsOf returns a copy of the options of client, for another client.
func optionsOf(client *redis.Client) *redis.Options {
	options := *client.Options()
	options.PushNotificationProcessor = nil // each client makes its own
	return &options
}

// proxied returns a client of the server of client behind a proxy.
func proxied(t *testing.T, client *redis.Client) (*redis.Client, *faultproxy.Proxy) {
	t.Helper()
	proxy, err := faultproxy.New(client.Options().Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	options := optionsOf(client)
	options.Dialer = nil // the client's dialer would connect to the client's address
	options.Addr = proxy.Addr()
	behind := redis.NewClient(options)
	t.Cleanup(func() { _ = behind.Close() })
	return behind, proxy
}

func TestSubscribeNoticesSilence(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		for _, direction := range []faultproxy.Direction{faultproxy.ToServer, faultproxy.ToClient, faultproxy.Both} {
			client, proxy := proxied(t, s.Client)
			r := remote.NewGoRedisV9Adapter(client)
			remote.SetPings(r, 40*time.Millisecond)
			sub := subscribe(t, r, t.Name()).waitReady()
			select {
			case err := <-sub.ended:
				t.Fatalf("it ended with a server that answers: %v", err)
			case <-time.After(300 * time.Millisecond):
			}
			proxy.BlackHole(direction)
			if err := sub.end(); err == nil || !strings.Contains(err.Error(), "does not answer") {
				t.Errorf("it ended with %v", err)
			}
			connecting := subscribe(t, r, t.Name())
			time.Sleep(10 * time.Millisecond)
			connecting.cancel()
			began := time.Now()
			if err := connecting.end(); !errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
				t.Errorf("while it was connecting, it ended after %s with %v", time.Since(began), err)
			}
			proxy.HealByReset()
			sub = subscribe(t, r, t.Name()).waitReady()
			proxy.Cut()
			if err := sub.end(); err == nil || strings.Contains(err.Error(), "does not answer") {
				t.Errorf("without a connection, it ended with %v", err)
			}
		}
	})
}

// A slow receiver does not mean that the server is silent.
func TestASlowReceiverIsNotSilence(t *testing.T) {
	r := remote.NewGoRedisV9Adapter(redistest.Embedded(t).Client)
	remote.SetPings(r, 20*time.Millisecond)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	got := 0
	err := r.(remote.Bus).Subscribe(ctx, []string{"c"}, func() {
		publish(t, r, "c", "1")
		publish(t, r, "c", "2")
	}, func(string, []byte) {
		time.Sleep(200 * time.Millisecond)
		if got++; got == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v after %d messages", err, got)
	}
}

func TestSubscribeOnAClosedClient(t *testing.T) {
	m := miniredis.RunT(t)
	node := redis.NewClient(&redis.Options{Addr: m.Addr()})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}})
	for _, client := range []redis.UniversalClient{node, cluster} {
		r := remote.NewGoRedisV9Adapter(client)
		sub := subscribe(t, r, "c").waitReady()
		sub.cancel()
		_ = sub.end()
		_ = client.Close()
		if err := subscribe(t, r, "c").end(); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("%T: Subscribe: %v", client, err)
		}
		if err := track(t, r).end(); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("%T: Track: %v", client, err)
		}
	}
}

// The connection has the client's options, and does not change them.
func TestSubscribeTakesTheClientsOptions(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		redistest.Each(t, func(t *testing.T, s redistest.Server) {
			var connected atomic.Int64
			options := optionsOf(s.Client)
			options.Protocol, options.ReadTimeout, options.ClientName = protocol, -1, "a-name"
			options.MinIdleConns, options.MaxRetries = 3, -1
			options.OnConnect = func(context.Context, *redis.Conn) error {
				connected.Add(1)
				return nil
			}
			client := redis.NewClient(options)
			t.Cleanup(func() { _ = client.Close() })
			for end := time.Now().Add(patience); client.PoolStats().IdleConns < 3 && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			before, was := connected.Load(), *client.Options()
			r := remote.NewGoRedisV9Adapter(client)
			sub := subscribe(t, r, t.Name()).waitReady()
			if n := connected.Load() - before; n != 1 {
				t.Errorf("OnConnect was called %d times", n)
			}
			if now := client.Options(); now.Protocol != was.Protocol || now.ReadTimeout != was.ReadTimeout || now.MaxRetries != was.MaxRetries || now.PushNotificationProcessor != was.PushNotificationProcessor {
				t.Errorf("the options of the client were altered: %+v", now)
			}
			publish(t, r, t.Name(), "1")
			sub.received(1)
		})
	}
}
