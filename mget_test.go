package cache_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

func TestMGetCoalescesIDsOneByOne(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...cache.Option) *node{"both": both, "remote": onlyRemote, "local": onlyLocal} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := open(t)
				if n.remote != nil {
					n.remote.SetLatency(time.Millisecond)
				}
				users := cache.NewT[int, *user](n.Cache)
				var mu sync.Mutex
				asked := map[int]int{}
				load := func(_ context.Context, ids []int) (map[int]*user, error) {
					time.Sleep(50 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					found := map[int]*user{}
					for _, id := range ids {
						asked[id]++
						u := userOf(id)
						found[id] = &u
					}
					return found, nil
				}
				seen := map[*user]bool{}
				note := func(id int, u *user) {
					mu.Lock()
					defer mu.Unlock()
					if u == nil || u.ID != id || seen[u] {
						t.Errorf("the user of %d is %v (shared: %v)", id, u, seen[u])
					}
					seen[u] = true
				}
				var wg sync.WaitGroup
				for range 32 {
					wg.Go(func() {
						time.Sleep(rand.N(100 * time.Millisecond))
						ids := rand.Perm(200)[:100]
						got, err := users.MGetWithErr(ctx, "u", ids, load)
						if err != nil || len(got) != 100 {
							t.Errorf("got %d users, %v", len(got), err)
						}
						for _, id := range ids {
							note(id, got[id])
						}
					})
					wg.Go(func() {
						time.Sleep(rand.N(100 * time.Millisecond))
						id := rand.IntN(200)
						u, err := users.Get(ctx, "u", id, func(ctx context.Context, id int) (*user, error) {
							m, err := load(ctx, []int{id})
							return m[id], err
						})
						if err != nil {
							t.Error(err)
						}
						note(id, u)
					})
				}
				wg.Wait()
				for id, n := range asked {
					if n != 1 {
						t.Errorf("id %d was asked for %d times", id, n)
					}
				}
			})
		})
	}
}

func TestMGetReportsTheErrorOfAJoinedLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		users := cache.NewT[int, user](n.Cache)
		go func() { _, _ = onceString(n, "u:1", returnsAfter(time.Second, nil, errBoom)) }()
		synctest.Wait()
		got, err := users.MGetWithErr(ctx, "u", []int{1, 2}, func(_ context.Context, ids []int) (map[int]user, error) {
			if !slices.Equal(ids, []int{2}) {
				t.Errorf("the batch loads %v, want only what nobody else is loading", ids)
			}
			return map[int]user{2: userOf(2)}, nil
		})
		if len(got) != 1 || got[2].ID != 2 || !errors.Is(err, errBoom) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestMGetReturnsWhatItHasWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		users := cache.NewT[int, user](n.Cache)
		if err := users.Set(ctx, "u", 1, userOf(1)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		got, err := users.MGetWithErr(ctx, "u", []int{1, 2}, func(ctx context.Context, _ []int) (map[int]user, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if len(got) != 1 || got[1].ID != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
