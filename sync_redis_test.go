package cache_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// redisNode is a cache with an Otter in front of a Redis.
type redisNode struct {
	cache.Cache
	local *local.Otter
}

func newRedisNode(t testing.TB, client redis.UniversalClient, opts ...cache.Option) redisNode {
	n := redisNode{local: local.NewOtter(1000, time.Hour)}
	n.Cache = cache.New(append([]cache.Option{
		cache.WithLocal(n.local), cache.WithRemote(remote.NewGoRedisV9Adapter(client)), cache.WithStatsDisabled(true),
		cache.WithName(fmt.Sprint(t.Name(), time.Now().UnixNano())), // tests share a server
		cache.WithDoubtTimeout(time.Minute),                         // the machine may be busy
	}, opts...)...)
	t.Cleanup(func() {
		n.Close()
		n.local.Close()
	})
	return n
}

// eventually waits until what returns true. The test fails after ten seconds.
func eventually(t testing.TB, why string, what func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !what(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after ten seconds: %s", why)
		}
	}
}

func (n redisNode) has(key string) bool {
	_, ok := n.local.Get(key)
	return ok
}

func TestTheLinkOverRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		name := cache.WithName(fmt.Sprint(t.Name(), time.Now().UnixNano()))
		one, two := newRedisNode(t, s.Client, cache.WithSyncLocal(true), name), newRedisNode(t, s.Client, cache.WithSyncLocal(true), name)
		for _, n := range []redisNode{one, two} {
			if st := cache.SyncStateOf(n); !st.Ready || !st.Linked || st.InDoubt {
				t.Fatalf("New returned a cache with the state %+v", st)
			}
		}
		_ = one.Set(ctx, "k", cache.Value("old"))
		if s, err := onceString(two, "k", never(t)); s != "old" || err != nil {
			t.Fatal(s, err)
		}
		if err := one.Set(ctx, "k", cache.Value("new")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the other node still has the old value", func() bool { return !two.has("k") })
		if !one.has("k") {
			t.Error("the node has dropped what it has written itself")
		}
		if s, err := onceString(two, "k", never(t)); s != "new" || err != nil {
			t.Error(s, err)
		}
		// By hand, as services of the original do.
		data, _ := json.Marshal(cache.Event{SourceID: "by hand", EventType: cache.EventTypeDelete, Keys: []string{"k"}})
		if err := s.Client.Publish(ctx, cache.SyncStateOf(one).Channel, data).Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a message by hand has dropped nothing", func() bool { return !one.has("k") && !two.has("k") })
	})
}

func TestTheLinkOverRedisComesBack(t *testing.T) {
	s := redistest.Real(t)
	n := newRedisNode(t, s.Client, cache.WithSyncLocal(true))
	_ = n.Set(ctx, "k", cache.Value("old"))
	since := cache.SyncStateOf(n).Since
	// Other tests may use the server at the same time and lose their connections, too.
	if err := s.Client.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lost connection is not noticed", func() bool {
		st := cache.SyncStateOf(n)
		return st.Ready && st.Since.After(since) && st.Gaps > 0 && st.InDoubt
	})
	_ = s.Client.Set(ctx, "k", "new", 0)
	if s, err := onceString(n, "k", never(t)); s != "new" || err != nil {
		t.Errorf("after the gap: %q, %v", s, err)
	}
}

// Twenty caches over one client hold one subscription, also by adapters of their own.
func TestCachesOverOneClientShareASubscription(t *testing.T) {
	s := redistest.NewProcess(t)
	client := s.Client()
	subscriptions := func() int {
		list, err := client.Do(ctx, "client", "list", "type", "pubsub").Text()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(list, "\n")
	}
	var nodes []redisNode
	for i := range 20 {
		nodes = append(nodes, newRedisNode(t, client, cache.WithSyncLocal(true), cache.WithName(fmt.Sprint("cache", i/2))))
	}
	if n := subscriptions(); n != 1 {
		t.Errorf("twenty caches hold %d subscriptions", n)
	}
	other := newRedisNode(t, s.Client(), cache.WithSyncLocal(true), cache.WithName("cache3"))
	for _, n := range append(nodes, other) {
		if st := cache.SyncStateOf(n); !st.Ready || st.Gaps != 0 || st.InDoubt {
			t.Errorf("the state is %+v", st)
		}
	}
	_ = nodes[6].Set(ctx, "k", cache.Value("old"))
	for _, n := range []redisNode{nodes[7], nodes[8], other} {
		if s, err := onceString(n, "k", never(t)); s != "old" || err != nil {
			t.Fatal(s, err)
		}
	}
	_ = nodes[6].Set(ctx, "k", cache.Value("new"))
	eventually(t, "a cache of this name still has the old value", func() bool { return !nodes[7].has("k") && !other.has("k") })
	if !nodes[6].has("k") || !nodes[8].has("k") {
		t.Error("the change was told to its own cache, or to a cache of another name")
	}
	for _, n := range nodes[1:] {
		n.Close()
	}
	if n := subscriptions(); n != 2 {
		t.Errorf("two caches over two clients hold %d subscriptions", n)
	}
	_ = other.Set(ctx, "k", cache.Value("new"))
	nodes[0].Close()
	if n := subscriptions(); n != 1 {
		t.Errorf("a last cache holds %d subscriptions", n)
	}
}

func TestARedisThatIsNotThereDoesNotHoldUpNew(t *testing.T) {
	s := redistest.Embedded(t)
	opts := *s.Client.Options()
	opts.Addr = "127.0.0.1:1"
	opts.MaxRetries = -1
	client := redis.NewClient(&opts)
	defer client.Close()
	began := time.Now()
	n := newRedisNode(t, client, cache.WithSyncLocal(true))
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("New took %s", took)
	}
	if st := cache.SyncStateOf(n); st.Ready || st.Err == nil {
		t.Errorf("the state is %+v", st)
	}
	if err := n.Set(ctx, "k", cache.Value("v")); err == nil || errors.Is(err, cache.ErrNotTold) {
		t.Errorf("Set: %v", err)
	}
	if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
		t.Error(s, err)
	}
}

// splitRemote is a remote that receives changes over one connection and answers calls over another.
type splitRemote struct {
	*remote.GoRedisV9Adapter
	remote.Tracker
	remote.Bus
}

func (s splitRemote) Track(ctx context.Context, prefixes []string, ready func(), changed func(keys []string)) error {
	return s.Tracker.Track(ctx, prefixes, ready, changed)
}

func (s splitRemote) Publish(ctx context.Context, channel string, message []byte) error {
	return s.Bus.Publish(ctx, channel, message)
}

func (s splitRemote) Subscribe(ctx context.Context, channels []string, ready func(), receive func(channel string, message []byte)) error {
	return s.Bus.Subscribe(ctx, channels, ready, receive)
}

// redisRemote returns an adapter with a client of its own for the server at addr.
func redisRemote(t testing.TB, addr string) *remote.GoRedisV9Adapter {
	client := redis.NewClient(&redis.Options{Addr: addr, DialTimeout: time.Second, ReadTimeout: time.Second, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	return remote.NewGoRedisV9Adapter(client).(*remote.GoRedisV9Adapter)
}
