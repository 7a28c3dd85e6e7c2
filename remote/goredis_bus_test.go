package remote_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// patience bounds the wait for an event that must happen.
const patience = 10 * time.Second

// subscriber is a call of Subscribe that is under way.
type subscriber struct {
	t      *testing.T
	cancel context.CancelFunc
	ready  chan struct{} // closed when it is ready
	ended  chan error

	mu  sync.Mutex
	got []string // guarded by mu: "channel message"
}

// subscribe calls Subscribe for channels. The call ends with the test.
func subscribe(t *testing.T, bus any, channels ...string) *subscriber {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	s := &subscriber{t: t, cancel: cancel, ready: make(chan struct{}), ended: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ended <- bus.(remote.Bus).Subscribe(ctx, channels, func() { close(s.ready) }, func(channel string, message []byte) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.got = append(s.got, channel+" "+string(message))
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

func (s *subscriber) waitReady() *subscriber {
	s.t.Helper()
	select {
	case <-s.ready:
	case err := <-s.ended:
		s.t.Fatalf("Subscribe ended: %v", err)
	case <-time.After(patience):
		s.t.Fatal("Subscribe does not become ready")
	}
	return s
}

// end waits until Subscribe has ended.
func (s *subscriber) end() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(patience):
		s.t.Fatal("Subscribe does not end")
		return nil
	}
}

// received waits for n messages.
func (s *subscriber) received(n int) []string {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		got := slices.Clone(s.got)
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			s.t.Fatalf("received %d messages, want %d", len(got), n)
		}
	}
}

func publish(t *testing.T, bus any, channel, message string) {
	t.Helper()
	if err := bus.(remote.Bus).Publish(ctx, channel, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

func TestBus(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		s := redistest.Embedded(t)
		// Without Sync: miniredis may answer a ping before an earlier message.
		remotetest.RunBus(t, func(*testing.T) remote.Bus {
			return struct{ remote.Bus }{remote.NewGoRedisV9Adapter(s.Client).(remote.Bus)}
		})
	})
	t.Run("redis", func(t *testing.T) {
		s := own(t)
		remotetest.RunBus(t, func(*testing.T) remote.Bus { return remote.NewGoRedisV9Adapter(s.Client).(remote.Bus) })
	})
}

func TestBusKeepsTheOrder(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		r := remote.NewGoRedisV9Adapter(s.Client)
		one, two := t.Name()+"1", t.Name()+"2"
		first, second := subscribe(t, r, one, two, one).waitReady(), subscribe(t, r, two).waitReady()
		var want []string
		for i := range 500 {
			for _, channel := range []string{one, two} {
				publish(t, r, channel, fmt.Sprint(i))
				want = append(want, fmt.Sprint(channel, " ", i))
			}
		}
		publish(t, r, t.Name()+"other", "x")
		if got := first.received(len(want)); !slices.Equal(got, want) {
			t.Errorf("received %q", got)
		}
		if got := second.received(len(want) / 2); len(got) != len(want)/2 || got[7] != two+" 7" {
			t.Errorf("the second subscriber received %q", got)
		}
	})
}

func TestBusCarriesAnyBytes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		r := remote.NewGoRedis(s.Client, remote.WithoutTTL())
		sub := subscribe(t, r, t.Name()).waitReady()
		messages := []string{"", "\x00\r\n\xff", strings.Repeat("long ", 100_000)}
		for _, m := range messages {
			publish(t, r, t.Name(), m)
		}
		for i, got := range sub.received(len(messages)) {
			if got != t.Name()+" "+messages[i] {
				t.Errorf("message %d has %d bytes, want %d", i, len(got), len(messages[i]))
			}
		}
	})
}

// own returns a Redis that no other test uses. Tests that share one by databases would share its
// channels, users and connections.
func own(t *testing.T) redistest.Server {
	t.Helper()
	return redistest.Server{Client: redistest.NewProcess(t).Client(), Advance: time.Sleep}
}

// aclUser makes a user with rules, and returns its client.
func aclUser(t *testing.T, s redistest.Server, rules ...string) *redis.Client {
	t.Helper()
	name := strings.ReplaceAll(t.Name(), "/", "-")
	args := []any{"acl", "setuser", name, "reset", "on", ">secret"}
	for _, rule := range rules {
		args = append(args, rule)
	}
	if err := s.Client.Do(ctx, args...).Err(); err != nil {
		t.Fatal(err)
	}
	options := optionsOf(s.Client)
	options.Username, options.Password = name, "secret"
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestTheBusIsNotAllowed(t *testing.T) {
	s := own(t)
	for name, rules := range map[string][]string{
		"command": {"~*", "+@all", "&*", "-subscribe", "-publish"},
		"channel": {"~*", "+@all", "resetchannels", "&other"},
	} {
		t.Run(name, func(t *testing.T) {
			r := remote.NewGoRedisV9Adapter(aclUser(t, s, rules...))
			err := subscribe(t, r, "news").end()
			if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), "+subscribe") || !strings.Contains(err.Error(), "&news") {
				t.Errorf("Subscribe: %v", err)
			}
			err = r.(remote.Bus).Publish(ctx, "news", nil)
			if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), "+publish") || !strings.Contains(err.Error(), "&news") {
				t.Errorf("Publish: %v", err)
			}
		})
	}
	t.Run("ping", func(t *testing.T) { // the refusal of a ping shows that the server is there
		r := remote.NewGoRedisV9Adapter(aclUser(t, s, "~*", "+@all", "&*", "-ping"))
		remote.SetPings(r, 20*time.Millisecond)
		sub := subscribe(t, r, "news").waitReady()
		time.Sleep(200 * time.Millisecond)
		publish(t, r, "news", "1")
		sub.received(1)
	})
}

func TestClientsThatCannotSubscribe(t *testing.T) {
	client := redistest.Embedded(t).Client
	conn := client.Conn()
	defer func() { _ = conn.Close() }()
	for _, c := range []redis.Cmdable{client.Pipeline(), conn} {
		err := remote.NewGoRedisV9Adapter(c).(remote.Bus).Subscribe(ctx, []string{"c"}, func() {}, nil)
		if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), fmt.Sprintf("%T", c)) {
			t.Errorf("%T: Subscribe: %v", c, err)
		}
	}
	if err := remote.NewGoRedisV9Adapter(client.Pipeline()).(remote.Bus).Publish(ctx, "c", nil); !errors.Is(err, remote.ErrUnsupported) {
		t.Errorf("Publish on a pipeline: %v", err)
	}
	if err := remote.NewGoRedisV9Adapter(client).(remote.Bus).Subscribe(ctx, nil, func() {}, nil); err == nil {
		t.Error("Subscribe to nothing succeeded")
	}
}

func TestBusOnARing(t *testing.T) {
	one, two := miniredis.RunT(t), miniredis.RunT(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": one.Addr(), "two": two.Addr()}})
	t.Cleanup(func() { _ = ring.Close() })
	r := remote.NewGoRedisV9Adapter(ring)
	var channels []string
	for i := range 10 {
		channels = append(channels, fmt.Sprint("channel", i))
	}
	sub := subscribe(t, r, channels...).waitReady()
	for _, channel := range channels {
		publish(t, r, channel, "1")
	}
	if got := sub.received(len(channels)); len(got) != len(channels) {
		t.Errorf("received %q", got)
	}
	if len(one.PubSubChannels("")) == 0 || len(two.PubSubChannels("")) == 0 {
		t.Error("all channels are on one shard")
	}
	two.Close()
	if err := sub.end(); err == nil {
		t.Error("it ended without an error when a shard had gone")
	}
	select {
	case <-time.After(patience):
		t.Error("the connection to the other shard is left")
	case <-gone(one):
	}
}

// gone returns a channel that is closed when m has no subscribers.
func gone(m *miniredis.Miniredis) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for end := time.Now().Add(patience); len(m.PubSubChannels("")) > 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}()
	return done
}

// miniredis has no sharded pub/sub.
func TestBusOnAnOldCluster(t *testing.T) {
	m := miniredis.RunT(t) // it answers as a cluster of one node
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}})
	t.Cleanup(func() { _ = cluster.Close() })
	for range 2 {
		r := remote.NewGoRedis(cluster)
		sub := subscribe(t, r, "a", "{a}#signals", "b").waitReady()
		for range 2 {
			publish(t, r, "a", "1")
			publish(t, r, "{a}#signals", "2")
		}
		publish(t, r, "b", "3")
		if got := sub.received(5); len(got) != 5 {
			t.Errorf("received %q", got)
		}
	}
	// The publisher notices it by itself.
	r := remote.NewGoRedis(cluster)
	publish(t, r, "a", "1")
}
