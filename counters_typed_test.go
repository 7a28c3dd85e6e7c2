package cache_test

import (
	"context"
	"fmt"
	"testing"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// The counters table for T, in all topologies and with each local store. Each row is counted
// twice: the second hit may find what the first has kept. "n/a" marks what cannot happen.
func TestCountersOfT(t *testing.T) {
	type typed = *cache.T[int, string]
	type steps = []func(n *node)
	one := func(fn func(context.Context, int) (string, error), opts ...cache.ItemOption) func(typed) {
		return func(ids typed) { _, _ = ids.Fetch(ctx, "k", 1, fn, opts...) }
	}
	get := func(fn func(context.Context, int) (string, error)) func(typed) {
		return func(ids typed) { _, _ = ids.Get(ctx, "k", 1, fn) }
	}
	batch := func(ids []int, fn func(context.Context, []int) (map[int]string, error), opts ...cache.ItemOption) func(typed) {
		return func(t typed) { _, _ = t.MFetch(ctx, "k", ids, fn, opts...) }
	}
	mget := func(ids ...int) func(typed) {
		return func(t typed) { _, _ = t.MGetWithErr(ctx, "k", ids, nil) }
	}
	value := func(ids ...int) func(n *node) {
		return func(n *node) {
			for _, id := range ids {
				_ = n.Set(ctx, fmt.Sprint("k:", id), cache.Value("v"))
			}
		}
	}
	absent := func(id int) func(n *node) {
		return func(n *node) { _ = n.Set(ctx, fmt.Sprint("k:", id), returns(nil, cache.ErrNotFound)) }
	}
	dropLocal := func(ids ...int) func(n *node) {
		return func(n *node) {
			for _, id := range ids {
				n.DeleteFromLocalCache(fmt.Sprint("k:", id))
			}
		}
	}
	gone := func(id int) func(n *node) {
		return func(n *node) { _ = n.Delete(ctx, fmt.Sprint("k:", id)) }
	}
	skip := cache.SkipLocal(true)
	fails := func(context.Context, []int) (map[int]string, error) { return nil, errBoom }

	for _, row := range []struct {
		name                    string
		given                   steps // once
		before                  steps // each time
		when                    func(ids typed)
		both, remote, localOnly string
	}{
		{"Get hit", steps{value(1)}, nil, get(nil), "h lh", "h rh", "h lh"},
		{"Get of a placeholder", steps{absent(1)}, nil, get(nil), "h lh", "h rh", "h lh"},
		{"Get of an empty value", steps{func(n *node) { _ = n.Set(ctx, "k:1") }}, nil, get(nil), "h lh", "h rh", "h lh"},
		{"Get hit in the remote", steps{value(1)}, steps{dropLocal(1)}, get(nil), "h lm rh", "h rh", "n/a"},
		{"Get of a placeholder in the remote", steps{absent(1)}, steps{dropLocal(1)}, get(nil), "h lm rh", "h rh", "n/a"},
		{"Get that loads", nil, steps{gone(1)}, get(loads("v", nil)), "m lm rm q", "m rm q", "m lm q"},
		{"Get of what does not exist", nil, steps{gone(1)}, get(loads("", cache.ErrNotFound)), "m lm rm q", "m rm q", "m lm q"},
		{"Get without a loader", nil, nil, get(nil), "m lm rm", "m rm", "m lm"},
		{"Get that fails", nil, nil, get(loads("", errBoom)), "m lm rm q qf", "m rm q qf", "m lm q qf"},
		{"Fetch hit", steps{value(1)}, nil, one(nil), "h lh", "h rh", "h lh"},
		{"Fetch hit with Refresh", steps{value(1)}, nil, one(nil, cache.Refresh(true)), "h lh", "h rh", "h lh"},
		{"Fetch of a placeholder", steps{absent(1)}, nil, one(nil), "h lh", "h rh", "h lh"},
		{"Fetch of a placeholder with Refresh", steps{absent(1)}, nil, one(nil, cache.Refresh(true)), "h lh", "h rh", "h lh"},
		{"Fetch hit in the remote with Refresh", steps{value(1)}, steps{dropLocal(1)}, one(nil, cache.Refresh(true)), "h lm rh", "h rh", "n/a"},
		{"Fetch that loads", nil, steps{gone(1)}, one(loads("v", nil), cache.TTL(-1), cache.SetNX(true)), "m lm rm q", "m rm q", "m lm q"},
		{"Fetch that fails", nil, nil, one(loads("", errBoom), cache.TTL(-1)), "m lm rm q qf", "m rm q qf", "m lm q qf"},
		{"Fetch with SkipLocal", steps{value(1)}, nil, one(nil, skip), "h rh", "h rh", "m"},
		{"Fetch with SkipLocal that fails", nil, nil, one(loads("", errBoom), skip), "m rm q qf", "m rm q qf", "m q qf"},
		{"MGet hits", steps{value(1, 2)}, nil, mget(1, 2), "h*2 lh*2", "h*2 rh*2", "h*2 lh*2"},
		{"MGet of a placeholder", steps{absent(1)}, nil, mget(1), "h lh", "h rh", "h lh"},
		{"MGet of ids twice: a hit, a placeholder, a miss", steps{value(1), absent(2)}, nil, mget(1, 2, 3, 3, 2, 1, 1), "h*2 m lh*2 lm rm", "h*2 m rh*2 rm", "h*2 m lh*2 lm"},
		{"MFetch of ids twice, and the loader fails", steps{value(1), absent(2)}, nil, batch([]int{3, 1, 2, 3, 1, 2}, fails), "h*2 m lh*2 lm rm q qf", "h*2 m rh*2 rm q qf", "h*2 m lh*2 lm q qf"},
		{"MFetch of a hit in each level, a load and what does not exist", steps{value(1, 2)}, steps{dropLocal(2), gone(3), gone(99)}, batch([]int{1, 2, 3, 99}, loadsAll("v"), cache.TTL(-1)), "h*2 m*2 lh lm*3 rh rm*2 q", "h*2 m*2 rh*2 rm*2 q", "n/a"},
		{"MFetch with SkipLocal", steps{value(1), absent(2)}, nil, batch([]int{1, 2, 1}, nil, skip), "h*2 rh*2", "h*2 rh*2", "m*2"},
		{"MFetch hits with Refresh", steps{value(1), absent(2)}, nil, batch([]int{1, 2}, nil, cache.Refresh(true)), "h*2 lh*2", "h*2 rh*2", "h*2 lh*2"},
		{"MFetch of nothing", nil, nil, batch(nil, fails), "", "", ""},
	} {
		for store, newStore := range stores {
			for topology, tt := range map[string]struct {
				opts func(n *node) []cache.Option
				want string
			}{
				"both": {func(n *node) []cache.Option {
					return []cache.Option{cache.WithLocal(n.local), cache.WithRemote(n.remote)}
				}, row.both},
				"remote": {func(n *node) []cache.Option { return []cache.Option{cache.WithRemote(n.remote)} }, row.remote},
				"local":  {func(n *node) []cache.Option { return []cache.Option{cache.WithLocal(n.local)} }, row.localOnly},
			} {
				if tt.want == "n/a" {
					continue
				}
				t.Run(fmt.Sprint(row.name, ", ", topology, ", ", store), func(t *testing.T) {
					n := &node{local: newStore(t), remote: remotetest.NewMemory(), counts: &recStats{}}
					n.open(t, tt.opts(n))
					for _, step := range row.given {
						step(n)
					}
					for _, time := range []string{"first", "second"} {
						for _, step := range row.before {
							step(n)
						}
						n.counts.take()
						row.when(cache.NewT[int, string](n.Cache))
						if got := n.counts.take(); got != tt.want {
							t.Errorf("the %s time counted %q, want %q", time, got, tt.want)
						}
					}
				})
			}
		}
	}
}

func TestCountersOfBadIds(t *testing.T) {
	for store := range stores {
		n := overStore(t, store)
		texts := cache.NewT[string, string](n.Cache)
		_ = n.Set(ctx, "k:a", cache.Value("v"))
		_, _ = texts.Get(ctx, "k", "\xff", nil)
		_, _ = texts.MFetch(ctx, "k", []string{"\xff", "a", "\xff"}, nil)
		if got := n.counts.take(); got != "h lh" {
			t.Errorf("%s: counted %q", store, got)
		}
	}
}

// What cannot be decoded is a hit for a read of one key, which returns the error, and a miss
// for a batch, which loads it again.
func TestCountersOfDamage(t *testing.T) {
	for store := range stores {
		n := overStore(t, store)
		users := cache.NewT[int, user](n.Cache)
		damage := func() {
			n.local.Set("k:1", []byte("damaged"))
			n.remote.Put("k:1", "damaged")
		}
		damage()
		for range 2 {
			if _, err := users.Get(ctx, "k", 1, nil); err == nil {
				t.Errorf("%s: no error", store)
			}
			if got := n.counts.take(); got != "h lh" {
				t.Errorf("%s: Get counted %q", store, got)
			}
		}
		got, err := users.MFetch(ctx, "k", []int{1}, func(context.Context, []int) (map[int]user, error) {
			return map[int]user{1: userOf(1)}, nil
		})
		if err != nil || got[1].ID != 1 {
			t.Errorf("%s: MFetch: %v, %v", store, got, err)
		}
		if got := n.counts.take(); got != "m lm rm q" {
			t.Errorf("%s: MFetch counted %q", store, got)
		}
	}
}
