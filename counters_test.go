package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// The counters table, each row in all topologies and with each local store. "n/a" marks
// what cannot happen there.
func TestCounters(t *testing.T) {
	mget := func(ids []int, fn func(context.Context, []int) (map[int]string, error)) func(n *node) {
		return func(n *node) { _, _ = cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", ids, fn) }
	}
	loadsOne := func(context.Context, []int) (map[int]string, error) { return map[int]string{1: "v"}, nil }
	fails := func(context.Context, []int) (map[int]string, error) { return nil, errBoom }

	setBoth := func(key string, v any) func(n *node) {
		return func(n *node) { _ = n.Set(ctx, key, cache.Value(v)) }
	}
	placeholder := func(key string) func(n *node) {
		return func(n *node) { _ = n.Set(ctx, key, returns(nil, cache.ErrNotFound)) }
	}
	// dropLocal leaves a key in the remote alone.
	dropLocal := func(keys ...string) func(n *node) {
		return func(n *node) {
			for _, k := range keys {
				n.DeleteFromLocalCache(k)
			}
		}
	}
	type steps = []func(n *node)

	rows := []struct {
		name                    string
		given                   steps
		when                    func(n *node)
		both, remote, localOnly string
	}{
		{"Get miss", nil, func(n *node) { _ = n.Get(ctx, "k", nil) }, "m lm rm", "m rm", "m lm"},
		{"Exists miss", nil, func(n *node) { n.Exists(ctx, "k") }, "m lm rm", "m rm", "m lm"},
		{"Get local hit", steps{setBoth("k", "v")}, func(n *node) { _ = n.Get(ctx, "k", nil) }, "h lh", "h rh", "h lh"},
		{"Exists local hit", steps{setBoth("k", "v")}, func(n *node) { n.Exists(ctx, "k") }, "h lh", "h rh", "h lh"},
		{"Once local hit", steps{setBoth("k", "v")}, func(n *node) { _ = n.Once(ctx, "k") }, "h lh", "h rh", "h lh"},
		{"Get local placeholder", steps{placeholder("k")}, func(n *node) { _ = n.Get(ctx, "k", nil) }, "h lh", "h rh", "h lh"},
		{"Once local placeholder", steps{placeholder("k")}, func(n *node) { _ = n.Once(ctx, "k") }, "h lh", "h rh", "h lh"},
		{"Get remote hit", steps{setBoth("k", "v"), dropLocal("k")}, func(n *node) { _ = n.Get(ctx, "k", nil) }, "h lm rh", "h rh", "n/a"},
		{"Once remote hit", steps{setBoth("k", "v"), dropLocal("k")}, func(n *node) { _ = n.Once(ctx, "k") }, "h lm rh", "h rh", "n/a"},
		{"Get remote placeholder", steps{placeholder("k"), dropLocal("k")}, func(n *node) { _ = n.Get(ctx, "k", nil) }, "h lm rh", "h rh", "n/a"},
		{"GetSkippingLocal hit", steps{setBoth("k", "v")}, func(n *node) { _ = n.GetSkippingLocal(ctx, "k", nil) }, "h rh", "h rh", "m"},
		{"GetSkippingLocal miss", nil, func(n *node) { _ = n.GetSkippingLocal(ctx, "k", nil) }, "m rm", "m rm", "m"},
		{"Set value", nil, setBoth("k", "v"), "", "", ""},
		{"Delete", steps{setBoth("k", "v")}, func(n *node) { _ = n.Delete(ctx, "k") }, "", "", ""},
		{"DeleteFromLocalCache", steps{setBoth("k", "v")}, dropLocal("k"), "", "", ""},
		{"Set do", nil, func(n *node) { _ = n.Set(ctx, "k", returns("v", nil)) }, "q", "q", "q"},
		{"Set do not found", nil, placeholder("k"), "q", "q", "q"},
		{"Set do error", nil, func(n *node) { _ = n.Set(ctx, "k", returns(nil, errBoom)) }, "q qf", "q qf", "q qf"},
		{"Once load", nil, func(n *node) { _ = n.Once(ctx, "k", returns("v", nil)) }, "m lm rm q", "m rm q", "m lm q"},
		{"Once load not found", nil, func(n *node) { _ = n.Once(ctx, "k", returns(nil, cache.ErrNotFound)) }, "m lm rm q", "m rm q", "m lm q"},
		{"Once load error", nil, func(n *node) { _ = n.Once(ctx, "k", returns(nil, errBoom)) }, "m lm rm q qf", "m rm q qf", "m lm q qf"},
		{"Once load panic", nil, func(n *node) {
			_ = n.Once(ctx, "k", cache.Do(func(context.Context) (any, error) { panic("boom") }))
		}, "m lm rm q qf", "m rm q qf", "m lm q qf"},
		{"Once without loader", nil, func(n *node) { _ = n.Once(ctx, "k") }, "m lm rm", "m rm", "m lm"},
		{"MGet local hits", steps{setBoth("k:1", "v"), setBoth("k:2", "v")}, mget([]int{1, 2}, loadsOne), "h*2 lh*2", "h*2 rh*2", "h*2 lh*2"},
		{"MGet local placeholder", steps{placeholder("k:1")}, mget([]int{1}, loadsOne), "h lh", "h rh", "h lh"},
		{"MGet remote hits", steps{setBoth("k:1", "v"), placeholder("k:2"), dropLocal("k:1", "k:2")}, mget([]int{1, 2}, loadsOne), "h*2 lm*2 rh*2", "h*2 rh*2", "n/a"},
		{"MGet misses, loaded or not found", nil, mget([]int{1, 2, 3}, loadsOne), "m*3 lm*3 rm*3 q", "m*3 rm*3 q", "m*3 lm*3 q"},
		{"MGet misses, loader fails", nil, mget([]int{1, 2}, fails), "m*2 lm*2 rm*2 q qf", "m*2 rm*2 q qf", "m*2 lm*2 q qf"},
		{"MGet mixed", steps{setBoth("k:1", "v"), setBoth("k:2", "v"), dropLocal("k:2")}, mget([]int{1, 2, 3}, loadsOne), "h*2 m lh lm*2 rh rm q", "h*2 m rh*2 rm q", "n/a"},
		{"MGet without loader", nil, mget([]int{1}, nil), "m lm rm", "m rm", "m lm"},
		{"MGet of nothing", nil, mget(nil, loadsOne), "", "", ""},
	}
	for _, row := range rows {
		for store, newStore := range stores {
			topologies := map[string]struct {
				open func() *node
				want string
			}{
				"both": {func() *node {
					n := &node{local: newStore(t), remote: remotetest.NewMemory(), counts: &recStats{}}
					return n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithRemote(n.remote)})
				}, row.both},
				"remote": {func() *node { return onlyRemote(t) }, row.remote},
				"local": {func() *node {
					n := &node{local: newStore(t), counts: &recStats{}}
					return n.open(t, []cache.Option{cache.WithLocal(n.local)})
				}, row.localOnly},
			}
			for topology, tt := range topologies {
				if tt.want == "n/a" {
					continue
				}
				t.Run(fmt.Sprint(row.name, ", ", topology, ", ", store), func(t *testing.T) {
					n := tt.open()
					for _, step := range row.given {
						step(n)
					}
					n.counts.take()
					row.when(n)
					if got := n.counts.take(); got != tt.want {
						t.Errorf("counted %q, want %q", got, tt.want)
					}
				})
			}
		}
	}
}

func TestFollowersCountNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		for range 5 {
			go func() { _, _ = onceString(n, "k", returnsAfter(time.Second, "v", nil)) }()
			synctest.Wait()
		}
		go func() {
			_, _ = cache.NewT[string, string](n.Cache).MGetWithErr(ctx, "", []string{"k"}, nil)
		}()
		go func() { _, _ = cache.NewT[string, string](n.Cache).Get(ctx, "k", "", nil) }()
		time.Sleep(2 * time.Second)
		// The MGet and the T.Get above have keys of their own, ":k" and "k:".
		if got := n.counts.take(); got != "m*3 lm*3 rm*3 q" {
			t.Errorf("counted %q", got)
		}
	})
}

func TestMGetJoiningAFlightCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		go func() { _, _ = onceString(n, "k:1", returnsAfter(time.Second, "v", nil)) }()
		synctest.Wait()
		got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, nil)
		if err != nil || got[1] != "v" {
			t.Errorf("got %v, %v", got, err)
		}
		if got := n.counts.take(); got != "m lm rm q" {
			t.Errorf("counted %q", got)
		}
	})
}

func TestAFailingRemoteCountsAsAMiss(t *testing.T) {
	n := both(t)
	n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
	_, _ = onceString(n, "k", returns("v", nil))
	if got := n.counts.take(); got != "m lm rm q" || n.counts.remoteErrors() != 1 {
		t.Errorf("counted %q and %d remote errors", got, n.counts.remoteErrors())
	}
	if err := n.Get(ctx, "other", nil); !errors.Is(err, errBoom) {
		t.Errorf("Get: %v", err)
	}
	if got := n.counts.take(); got != "m lm rm" || n.counts.remoteErrors() != 2 {
		t.Errorf("counted %q and %d remote errors", got, n.counts.remoteErrors())
	}
}
