package remote_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestTrackTakesTheClientsOptions(t *testing.T) {
	s := redistest.Real(t)
	for _, protocol := range []int{2, 3} {
		var connected atomic.Int64
		options := optionsOf(s.Client)
		options.Protocol, options.ReadTimeout, options.MinIdleConns = protocol, -1, 0
		options.OnConnect = func(context.Context, *redis.Conn) error {
			connected.Add(1)
			return nil
		}
		client := redis.NewClient(options)
		defer func() { _ = client.Close() }()
		set(t, client, "key")
		before, was := connected.Load(), *client.Options()
		tr := track(t, remote.NewGoRedisV9Adapter(client)).waitReady()
		if n := connected.Load() - before; n != 1 {
			t.Errorf("OnConnect was called %d times", n)
		}
		set(t, client, "key")
		tr.heardKey("key")
		if now := client.Options(); now.Protocol != was.Protocol || now.PoolSize != was.PoolSize || now.PushNotificationProcessor != was.PushNotificationProcessor {
			t.Errorf("the options of the client were changed: %+v", now)
		}
		if client.GetPushNotificationHandler("invalidate") != nil {
			t.Error("the client got a handler")
		}
	}
	options := optionsOf(s.Client)
	boom := errors.New("boom")
	options.OnConnect = func(context.Context, *redis.Conn) error { return boom }
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	if err := track(t, remote.NewGoRedisV9Adapter(client)).end(); !errors.Is(err, boom) || errors.Is(err, remote.ErrUnsupported) {
		t.Errorf("with an OnConnect that fails: %v", err)
	}
}

func TestTrackingIsNotAllowed(t *testing.T) {
	s := own(t)
	t.Run("tracking", func(t *testing.T) {
		r := remote.NewGoRedisV9Adapter(aclUser(t, s, "~*", "+@all", "&*", "-client|tracking"))
		err := track(t, r).end()
		if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), "+client|tracking") || !strings.Contains(err.Error(), "WithSyncLocal(true)") {
			t.Errorf("Track: %v", err)
		}
	})
	for name, rules := range map[string][]string{
		"info, channels and pings": {"~*", "+@all", "resetchannels", "-info", "-ping"},
		"subscribe":                {"~*", "+@all", "&*", "-subscribe"},
		"all but what is needed":   {"~*", "+hello", "+client|tracking", "+set"},
	} {
		t.Run(name, func(t *testing.T) { // it does without
			client := aclUser(t, s, rules...)
			r := remote.NewGoRedisV9Adapter(client)
			remote.SetPings(r, 20*time.Millisecond)
			tr := track(t, r).waitReady()
			time.Sleep(200 * time.Millisecond)
			set(t, client, "key")
			tr.heardKey("key")
		})
	}
}

func TestServersThatCannotTrack(t *testing.T) {
	client := redistest.Embedded(t).Client // it has HELLO, but no CLIENT TRACKING
	old := miniredis.RunT(t)
	old.Server().SetPreHook(refuse("HELLO"))
	ancient := redis.NewClient(&redis.Options{Addr: old.Addr()})
	defer func() { _ = ancient.Close() }()
	for name, c := range map[string]*redis.Client{"CLIENT TRACKING": client, "RESP3": ancient} {
		err := track(t, remote.NewGoRedisV9Adapter(c)).end()
		if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "WithSyncLocal(true)") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if err := track(t, remote.NewGoRedisV9Adapter(client), "a:", "ab", "a:b").end(); !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), `"a:b" together with "a:"`) {
		t.Errorf("with prefixes of which one covers another: %v", err)
	}
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": client.Options().Addr}})
	defer func() { _ = ring.Close() }()
	for _, c := range []redis.Cmdable{ring, client.Pipeline()} {
		err := track(t, remote.NewGoRedisV9Adapter(c)).end()
		if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), fmt.Sprintf("%T", c)) {
			t.Errorf("%T: %v", c, err)
		}
	}
}

// refuse returns a hook for a server that does not know the command name.
func refuse(name string) server.Hook {
	return func(c *server.Peer, cmd string, _ ...string) bool {
		if strings.EqualFold(cmd, name) {
			c.WriteError("ERR unknown command '" + strings.ToLower(cmd) + "'")
			return true
		}
		return false
	}
}
