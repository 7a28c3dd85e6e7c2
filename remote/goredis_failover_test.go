package remote_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// A replica is promoted, or a master starts again from a snapshot. The newest change is lost, and the
// nonce from before it is back. A load that knows this nonce must not store its value.
func TestAFenceThatIsBackAfterAFailover(t *testing.T) {
	tests := map[string]func(t *testing.T, first *redistest.Process, change func()) *redistest.Process{
		"a promoted replica": func(t *testing.T, first *redistest.Process, change func()) *redistest.Process {
			second := redistest.NewProcess(t)
			host, port, _ := strings.Cut(first.Addr(), ":")
			if err := second.Client().ReplicaOf(ctx, host, port).Err(); err != nil {
				t.Fatal(err)
			}
			replica := second.Client()
			within(t, func() error { return replica.Get(ctx, "{k}#f").Err() })
			if err := second.Client().ReplicaOf(ctx, "no", "one").Err(); err != nil {
				t.Fatal(err)
			}
			change()
			return second
		},
		"a snapshot": func(t *testing.T, first *redistest.Process, change func()) *redistest.Process {
			if err := first.Client().Save(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			change()
			first.Kill()
			first.Restart()
			return first
		},
	}
	for name, failover := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := redistest.NewProcess(t)
			r := remote.NewGoRedis(first.Client()).(*remote.GoRedisV9Adapter)
			nonces, err := r.OpenFences(ctx, time.Minute, "k")
			if err != nil {
				t.Fatal(err)
			}
			before := first.Client().Get(ctx, "{k}#f").Val()
			now := failover(t, first, func() {
				if err := r.DelFenced(ctx, time.Minute, "k"); err != nil {
					t.Fatal(err)
				}
			})
			if got, err := now.Client().Get(ctx, "{k}#f").Result(); got != before || err != nil {
				t.Fatalf("the fence is %q, %v, want that from before the change: %q", got, err, before)
			}
			r = remote.NewGoRedis(now.Client()).(*remote.GoRedisV9Adapter)
			outcomes, err := r.SetFenced(ctx, time.Minute, remote.FencedItem{
				Item: remote.Item{Key: "k", Data: []byte("stale"), Expire: time.Hour}, Nonce: nonces[0],
			})
			if err != nil || outcomes[0] != remote.FenceChanged {
				t.Errorf("a value from before the change: %v, %v", outcomes, err)
			}
			again, err := r.OpenFences(ctx, time.Minute, "k")
			if err != nil {
				t.Fatal(err)
			}
			outcomes, err = r.SetFenced(ctx, time.Minute, remote.FencedItem{
				Item: remote.Item{Key: "k", Data: []byte("new"), Expire: time.Hour}, Nonce: again[0],
			})
			if err != nil || outcomes[0] != remote.FenceStored {
				t.Errorf("a value that was loaded after the failover: %v, %v", outcomes, err)
			}
		})
	}
}
