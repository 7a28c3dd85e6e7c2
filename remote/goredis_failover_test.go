package remote_test

import (
	"errors"
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

// A promoted replica may lack messages of the old master, and publish others under the same numbers.
// Then their nonce is another one.
func TestTheTokenAfterAFailover(t *testing.T) {
	first, second := redistest.NewProcess(t), redistest.NewProcess(t)
	host, port, _ := strings.Cut(first.Addr(), ":")
	replica := second.Client()
	if err := replica.ReplicaOf(ctx, host, port).Err(); err != nil {
		t.Fatal(err)
	}
	up := first.Client().Set(ctx, "up", "1", 0).Err()
	within(t, func() error { return errors.Join(up, replica.Get(ctx, "up").Err()) })
	old := remote.NewGoRedis(first.Client()).(*remote.GoRedisV9Adapter)
	before, err := old.Tokens(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() error { return replica.Get(ctx, "{c}#seq").Err() })
	if err := replica.ReplicaOf(ctx, "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	promoted := remote.NewGoRedis(replica).(*remote.GoRedisV9Adapter)
	nonces := make(map[string]bool)
	for _, r := range []*remote.GoRedisV9Adapter{old, promoted} {
		if err := r.PublishNext(ctx, "c", []byte(`{"Keys":["k"]}`)); err != nil {
			t.Fatal(err)
		}
		tokens, err := r.Tokens(ctx, "c")
		if err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(tokens[0], ".")
		nonces[nonce] = true
	}
	if _, nonce, _ := strings.Cut(before[0], "."); len(nonces) != 2 || !nonces[nonce] {
		t.Errorf("the nonces are %v, before the failover it was %q", nonces, nonce)
	}
}
