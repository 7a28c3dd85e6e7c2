package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestOneBadKeyDoesNotSpoilABatch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		c := cache.New(cache.WithRemote(remote.NewGoRedisV9Adapter(s.Client)), cache.WithLocal(stores["TinyLFU"](t)), cache.WithStatsDisabled(true))
		defer c.Close()
		users := cache.NewT[int, user](c)
		for _, id := range []int{1, 3} {
			if err := users.Set(ctx, "u", id, userOf(id)); err != nil {
				t.Fatal(err)
			}
			c.DeleteFromLocalCache(fmt.Sprint("u:", id))
		}
		if err := s.Client.LPush(ctx, "u:2", "x").Err(); err != nil {
			t.Fatal(err)
		}
		var asked []int
		got, err := users.MGetWithErr(ctx, "u", []int{1, 2, 3}, func(_ context.Context, ids []int) (map[int]user, error) {
			asked = ids
			return map[int]user{2: userOf(2)}, nil
		})
		if len(got) != 3 || got[1].ID != 1 || got[2].ID != 2 || got[3].ID != 3 || fmt.Sprint(asked) != "[2]" {
			t.Errorf("got %v, asked the loader for %v", got, asked)
		}
		if err == nil || !strings.Contains(err.Error(), "u:2") {
			t.Errorf("the error is %v, want the bad key in it", err)
		}
		if again, err := users.MGetWithErr(ctx, "u", []int{1, 2, 3}, nil); len(again) != 3 || err != nil {
			t.Errorf("the second time: %v, %v", again, err)
		}
	})
}

func TestRemoteFailuresAreLoggedCountedAndReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		n := both(t, cache.WithName("shop"))
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		for i := range 100 {
			if _, err := onceString(n, fmt.Sprint("k", i), returns("v", nil)); err != nil {
				t.Error(err)
			}
		}
		if got := log.matching("boom"); len(got) != 1 || !strings.Contains(got[0], "cache shop") || !strings.HasPrefix(got[0], "warn") {
			t.Errorf("100 failures in no time were logged as %q", got)
		}
		time.Sleep(11 * time.Second)
		_ = n.Delete(ctx, "k")
		if got := log.matching("boom"); len(got) != 2 || !strings.Contains(got[1], "99 lines") {
			t.Errorf("the next line is %q", got)
		}
		if got := n.counts.remoteErrors(); got != 101 {
			t.Errorf("%d failures were counted, want 101", got)
		}
		got, err := cache.NewT[int, int](n.Cache).MGetWithErr(ctx, "m", []int{1}, func(context.Context, []int) (map[int]int, error) {
			return map[int]int{1: 1}, nil
		})
		if got[1] != 1 || !errors.Is(err, errBoom) {
			t.Errorf("MGetWithErr: %v, %v", got, err)
		}
	})
}

func TestACallersOwnCancelIsNoRemoteFailure(t *testing.T) {
	log := captureLog(t)
	n := both(t)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if err := n.Get(ctx, "k", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	if n.counts.remoteErrors() != 0 || len(log.matching("remote")) != 0 {
		t.Errorf("counted %d, logged %q", n.counts.remoteErrors(), log.lines)
	}
}

// The remote fails for a while. Calls succeed meanwhile, and the cache uses the remote again afterwards.
func TestARemoteThatComesBack(t *testing.T) {
	n := both(t)
	broken := true
	n.remote.SetFault(func(context.Context, string, ...string) error {
		if broken {
			return redis.ErrClosed
		}
		return nil
	})
	if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
		t.Errorf("while it is down: %q, %v", s, err)
	}
	broken = false
	if s, err := onceString(n, "l", returns("w", nil)); s != "w" || err != nil {
		t.Errorf("when it is back: %q, %v", s, err)
	}
	n.expectStored(t, "l", "w", "w")
}
