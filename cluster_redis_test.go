package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// clusterKeys are keys on all nodes of a cluster.
func clusterKeys(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint(prefix, ":", i)
	}
	return keys
}

func TestACluster(t *testing.T) {
	cluster := redistest.NewCluster(t)
	for name, opts := range map[string][]cache.Option{
		"link":     {cache.WithSyncLocal(true)},
		"tracking": {cache.WithTracking("tracking:")},
	} {
		t.Run(name, func(t *testing.T) {
			keys := clusterKeys(name, 30)
			opts := append(opts, cache.WithName(name), cache.WithFence(maxLoad), cache.WithLease(leaseTTL))
			one, two := newRedisNode(t, cluster.Client(), opts...), newRedisNode(t, cluster.Client(), opts...)
			for _, n := range []redisNode{one, two} {
				if st := cache.SyncStateOf(n); !st.Ready {
					t.Fatalf("the state is %+v", st)
				}
			}
			tt := [2]*cache.T[int, string]{cache.NewT[int, string](one.Cache), cache.NewT[int, string](two.Cache)}
			ids := make([]int, len(keys))
			want := make(map[int]string)
			for i := range ids {
				ids[i], want[i] = i, fmt.Sprint("first ", i)
			}
			load := func(_ context.Context, ids []int) (map[int]string, error) {
				got := make(map[int]string)
				for _, id := range ids {
					got[id] = want[id]
				}
				return got, nil
			}
			check := func(when string) {
				t.Helper()
				for i := range tt {
					got, err := tt[i].MGetWithErr(ctx, name, ids, load)
					if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("%s: node %d reads %v, %v", when, i, got, err)
					}
				}
			}
			check("loaded")
			for i := range ids {
				want[i] = fmt.Sprint("second ", i)
			}
			if err := tt[0].MSet(ctx, name, want); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the other node has old values", func() bool {
				return !slices.ContainsFunc(keys, two.has)
			})
			check("set")
			// A load that a Delete on the other node overtakes.
			for _, id := range ids[:6] {
				if err := tt[0].Delete(ctx, name, id); err != nil {
					t.Fatal(err)
				}
				got, err := tt[0].Get(ctx, name, id, func(context.Context, int) (string, error) {
					return "old", tt[1].Delete(ctx, name, id)
				})
				if got != "old" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
				if n, err := cluster.Client().Exists(ctx, keys[id]).Result(); n != 0 || err != nil {
					t.Errorf("%q is in the remote after a load that was overtaken (%v)", keys[id], err)
				}
			}
			err := tt[1].Mutate(ctx, name, ids, func(context.Context) error {
				for i := range ids {
					want[i] = fmt.Sprint("third ", i)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			// Each master tells of its own keys, so all keys are waited for.
			eventually(t, "the other node has old values", func() bool {
				return !slices.ContainsFunc(keys, one.has)
			})
			check("mutated")
		})
	}
}

// The link breaks in each way that a network can, while the remote can be reached: no node
// serves an old value for longer than it takes to notice.
func TestALinkThatBreaksOverRedis(t *testing.T) {
	server := redistest.NewProcess(t)
	for name, fault := range map[string]func(p *faultproxy.Proxy){
		"cut":        func(p *faultproxy.Proxy) { p.Cut() },
		"black hole": func(p *faultproxy.Proxy) { p.BlackHole(faultproxy.Both) },
		"deaf":       func(p *faultproxy.Proxy) { p.BlackHole(faultproxy.ToClient) },
	} {
		for _, mode := range []string{"link", "tracking"} {
			t.Run(mode+" "+name, func(t *testing.T) {
				t.Parallel()
				proxy, err := faultproxy.New(server.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer proxy.Close()
				key := t.Name()
				writer := redisRemote(t, server.Addr())
				behind := redisRemote(t, proxy.Addr())
				opts := []cache.Option{cache.WithName(t.Name()), cache.WithRemote(splitRemote{redisRemote(t, server.Addr()), behind, behind})}
				if mode == "link" {
					opts = append(opts, cache.WithSyncLocal(true), cache.WithSyncBus(behind))
				} else {
					opts = append(opts, cache.WithTracking(key))
				}
				reader := newRedisNode(t, server.Client(), opts...)
				_ = writer.SetEX(ctx, key, "old", time.Hour)
				time.Sleep(50 * time.Millisecond) // what is told of that has arrived
				if s, err := onceString(reader, key, never(t)); s != "old" || err != nil {
					t.Fatal(s, err)
				}
				if st := cache.SyncStateOf(reader); !st.Ready || st.InDoubt || !reader.has(key) {
					t.Fatalf("before the fault, the state is %+v", st)
				}
				fault(proxy)
				began := time.Now()
				_ = writer.SetEX(ctx, key, "new", time.Hour)
				eventually(t, "the old value is still served", func() bool {
					s, err := onceString(reader, key, never(t))
					return s == "new" && err == nil
				})
				t.Logf("noticed after %s", time.Since(began).Round(time.Millisecond))
				proxy.Heal()
				eventually(t, "the link does not come back", func() bool { return cache.SyncStateOf(reader).Ready })
				if s, err := onceString(reader, key, never(t)); s != "new" || err != nil {
					t.Errorf("after it came back: %q, %v", s, err)
				}
			})
		}
	}
}

// A failover of a Sentinel's master, or of a cluster's, while two nodes are at work: whatever
// the failover has lost, the nodes agree with the remote afterwards.
func TestAFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: a failover takes some seconds")
	}
	run := func(t *testing.T, client func() redis.UniversalClient, failover func()) {
		opts := []cache.Option{cache.WithSyncLocal(true), cache.WithName(t.Name()), cache.WithFence(maxLoad)}
		one, two := newRedisNode(t, client(), opts...), newRedisNode(t, client(), opts...)
		keys := clusterKeys("t", 12)
		for _, key := range keys {
			_ = one.Set(ctx, key, cache.Value("before"))
			_, _ = onceString(two, key, returns("before", nil))
		}
		failover()
		// Writes work again some time after.
		for _, key := range keys {
			eventually(t, "writes fail after the failover", func() bool {
				err := one.Set(ctx, key, cache.Value("after"))
				return err == nil || errors.Is(err, cache.ErrNotTold)
			})
		}
		eventually(t, "the links do not come back", func() bool {
			return cache.SyncStateOf(one).Ready && cache.SyncStateOf(two).Ready && cache.SyncStateOf(one).Repairs == 0
		})
		eventually(t, "the other node reads something else", func() bool {
			for _, key := range keys {
				if s, err := onceString(two, key, returns("after", nil)); s != "after" || err != nil {
					return false
				}
			}
			return true
		})
	}
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		cluster := redistest.NewClusterWithReplicas(t)
		run(t, func() redis.UniversalClient { return cluster.Client() }, func() {
			cluster.Masters[1].Kill()
			cluster.WaitForNewMaster(cluster.Masters[1])
		})
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		pair := redistest.NewSentinel(t)
		run(t, func() redis.UniversalClient { return pair.Client() }, func() {
			pair.WaitForNewMaster(pair.KillMaster())
		})
	})
}
