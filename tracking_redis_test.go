package cache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestTrackingOverRedis(t *testing.T) {
	server := redistest.NewProcess(t)
	client := server.Client()
	n := newRedisNode(t, client, cache.WithTracking("t:"))
	if st := cache.SyncStateOf(n); !st.Ready || !st.Tracking || st.InDoubt {
		t.Fatalf("New returned a cache with the state %+v", st)
	}
	load := func(key string) {
		t.Helper()
		if _, err := onceString(n, key, returns("v", nil)); err != nil || !n.has(key) {
			t.Fatalf("loading %q: %v", key, err)
		}
	}
	for name, change := range map[string]func(key string) error{
		"SET":    func(key string) error { return client.Set(ctx, key, "new", 0).Err() },
		"DEL":    func(key string) error { return client.Del(ctx, key).Err() },
		"expiry": func(key string) error { return client.PExpire(ctx, key, 20*time.Millisecond).Err() },
	} {
		key := "t:" + name
		load(key)
		time.Sleep(50 * time.Millisecond)
		if !n.has(key) {
			t.Errorf("%s: the echo of the load has dropped the value", name)
		}
		if err := change(key); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" by another client is not noticed", func() bool { return !n.has(key) })
	}
	load("t:flushed")
	if err := client.FlushDB(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "FLUSHDB is not noticed", func() bool { return cache.SyncStateOf(n).Gaps > 0 })
	if s, err := onceString(n, "t:flushed", returns("loaded again", nil)); s != "loaded again" || err != nil {
		t.Errorf("after FLUSHDB: %q, %v", s, err)
	}

	// Many own writes, and one by another in between.
	for i := range 200 {
		if err := n.Set(ctx, fmt.Sprint("t:", i%50), cache.Value(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	_ = client.Set(ctx, "t:7", "theirs", 0)
	eventually(t, "the write of another is not noticed", func() bool { return !n.has("t:7") })
	time.Sleep(50 * time.Millisecond)
	for i := range 50 {
		if key := fmt.Sprint("t:", i); i != 7 && !n.has(key) {
			t.Errorf("the echo has dropped %q", key)
		}
	}

	// The server goes away and comes back.
	gaps := cache.SyncStateOf(n).Gaps
	server.Restart()
	eventually(t, "the connection does not come back", func() bool {
		st := cache.SyncStateOf(n)
		return st.Ready && st.Gaps > gaps
	})
	if s, err := onceString(n, "t:8", returns("loaded", nil)); s != "loaded" || err != nil {
		t.Errorf("after a restart that has lost all: %q, %v", s, err)
	}
}

// The message about a foreign change of the lifetime alone comes right after an own write, and the
// value is still the own one.
func TestTrackingNoticesAForeignLifetime(t *testing.T) {
	client := redistest.NewProcess(t).Client()
	for _, fenced := range []bool{false, true} {
		opts := []cache.Option{cache.WithTracking("t:"), cache.WithRemoteExpiry(time.Hour)}
		if fenced {
			opts = append(opts, cache.WithFence(time.Minute))
		}
		n := newRedisNode(t, client, opts...)
		writes := map[string]func(key string) error{
			"Set":  func(key string) error { return n.Set(ctx, key, cache.Value("v")) },
			"load": func(key string) error { _, err := onceString(n, key, returns("v", nil)); return err },
			"placeholder": func(key string) error {
				if _, err := onceString(n, key, returns("", cache.ErrNotFound)); !errors.Is(err, cache.ErrNotFound) {
					return fmt.Errorf("got %w", err)
				}
				return nil
			},
		}
		changes := map[string]func(key string) error{
			"shorter": func(key string) error { return client.PExpire(ctx, key, 40*time.Second).Err() },
			"longer":  func(key string) error { return client.PExpire(ctx, key, 2*time.Hour).Err() },
			"none":    func(key string) error { return client.Persist(ctx, key).Err() },
		}
		for what, write := range writes {
			for name, change := range changes {
				key := fmt.Sprint("t:", fenced, what, name)
				if err := write(key); err != nil {
					t.Fatal(key, err)
				}
				if err := change(key); err != nil {
					t.Fatal(key, err)
				}
				eventually(t, key+": the foreign lifetime is not noticed", func() bool { return !n.has(key) })
			}
			for i := range 20 { // own echoes drop nothing
				if err := write(fmt.Sprint("t:", fenced, what, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
		for what := range writes {
			for i := range 20 {
				if key := fmt.Sprint("t:", fenced, what, i); !n.has(key) {
					t.Errorf("the echo has dropped %q", key)
				}
			}
		}
	}
}

func TestTrackingThatIsNotAllowed(t *testing.T) {
	log := captureLog(t)
	server := redistest.NewProcess(t)
	if err := server.Client().Do(ctx, "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-client|tracking").Err(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "app", Password: "secret"})
	defer client.Close()
	n := newRedisNode(t, client, cache.WithTracking())
	if st := cache.SyncStateOf(n); st.Ready || !errors.Is(st.Err, remote.ErrUnsupported) || !strings.Contains(st.Err.Error(), "WithSyncLocal") {
		t.Errorf("the state is %+v", st)
	}
	if lines := log.matching("WithTracking cannot work here"); len(lines) == 0 || !strings.HasPrefix(lines[0], "error") {
		t.Errorf("the log has %q", lines)
	}
	if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
}
