package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// dyingNode is the variable that makes this program a node that dies. Its value is the address of
// Redis.
const dyingNode = "JETCACHE_TEST_DYING_NODE"

// deadly is an adapter whose process is killed between a change and its message.
type deadly struct{ *remote.GoRedisV9Adapter }

func (d deadly) SequencerOf() remote.Sequencer { return d }

func (deadly) PublishNext(context.Context, string, ...[]byte) error {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		return fmt.Errorf("killing this process: %w", err)
	}
	select {} // the system ends the process
}

// newUnfenced returns a cache whose changes do not carry their messages: it has no fences.
func newUnfenced(t *testing.T, r remote.Remote) cache.Cache {
	t.Helper()
	store := local.NewOtter(1000, time.Hour)
	c := cache.New(cache.WithName("unfenced"), cache.WithStatsDisabled(true), cache.WithLocal(store), cache.WithRemote(r),
		cache.WithSyncLocal(true), cache.WithSyncHeartbeat(heartbeat))
	t.Cleanup(func() {
		c.Close()
		store.Close()
	})
	return c
}

// TestTheNodeThatDies is the process of the next test. It changes a key, and does not live to tell.
func TestTheNodeThatDies(t *testing.T) {
	addr := os.Getenv(dyingNode)
	if addr == "" {
		t.Skip("this is the process of another test")
	}
	client := newClient(t, redis.Options{Addr: addr})
	c := newUnfenced(t, deadly{remote.NewGoRedisV9Adapter(client).(*remote.GoRedisV9Adapter)})
	ready(t, c)
	t.Errorf("it lives, and Set returned %v", c.Set(t.Context(), "k", cache.Value("new")))
}

// A node is killed after it has changed a key in Redis, and before it has told the others.
func TestANodeThatDiesBeforeItTellsIsAGap(t *testing.T) {
	server := redistest.NewProcess(t)
	c := newUnfenced(t, remote.NewGoRedisV9Adapter(newClient(t, redis.Options{Addr: server.Addr()})))
	ready(t, c)
	succeed(t, c.Set(t.Context(), "k", cache.Value("old")))
	succeed(t, reads(t, c, "old"))
	before := cache.SyncStateOf(c).Gaps

	node := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheNodeThatDies$")
	node.Env = append(os.Environ(), dyingNode+"="+server.Addr())
	if said, err := node.CombinedOutput(); err == nil || node.ProcessState.ExitCode() == 1 {
		t.Fatalf("the node was not killed: %v\n%s", err, said)
	}
	if got := server.Client().Get(t.Context(), "k").Val(); got != "new" {
		t.Fatalf("the node has not changed the key: it is %q", got)
	}

	eventually(t, func() error {
		if s := cache.SyncStateOf(c); s.Gaps == before {
			return fmt.Errorf("there was no gap: %+v", s)
		}
		return nil
	})
	succeed(t, reads(t, c, "new"))
}
