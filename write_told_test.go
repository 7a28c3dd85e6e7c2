package cache_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// What a change tells other nodes, and what it does if only a part of it succeeds.

// partly is a Remote that cannot change the keys with "bad" in them.
type partly struct{ *remotetest.Memory }

func bad(key string) bool { return strings.Contains(key, "bad") }

func (p partly) divide(op string, keys []string) (good []string, err error) {
	failed := map[string]error{}
	for _, key := range keys {
		if bad(key) {
			failed[key] = errBoom
		} else {
			good = append(good, key)
		}
	}
	if len(failed) > 0 {
		err = &remote.KeysError{Op: op, Failed: failed}
	}
	return good, err
}

func (p partly) MDel(ctx context.Context, keys ...string) error {
	good, err := p.divide("del", keys)
	return errors.Join(p.Memory.MDel(ctx, good...), err)
}

func (p partly) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	good, err := p.divide("del", keys)
	return errors.Join(p.Memory.DelFenced(ctx, ttl, good...), err)
}

func (p partly) MSetItems(ctx context.Context, items ...remote.Item) error {
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = item.Key
	}
	_, err := p.divide("set", keys)
	items = slices.DeleteFunc(items, func(item remote.Item) bool { return bad(item.Key) })
	return errors.Join(p.Memory.MSetItems(ctx, items...), err)
}

func (p partly) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = item.Key
	}
	_, failed := p.divide("set", keys)
	outcomes := make([]remote.FenceOutcome, len(items))
	for i, item := range items {
		if !bad(item.Key) {
			stored, err := p.Memory.SetFenced(ctx, ttl, item)
			if err != nil {
				return nil, err
			}
			outcomes[i] = stored[0]
		}
	}
	return outcomes, failed
}

// Of a batch that fails in part, the other nodes hear of the part that succeeded.
func TestWhatABatchChangedIsToldAlsoIfAPartFailed(t *testing.T) {
	for name, opts := range map[string][]cache.Option{"plain": nil, "fenced": {cache.WithFence(time.Minute)}} {
		for op, change := range map[string]func(*cache.T[string, string]) error{
			"MSet": func(strs *cache.T[string, string]) error {
				return strs.MSet(ctx, "k", map[string]string{"1": "new", "2": "new", "bad": "new"})
			},
			"MDelete": func(strs *cache.T[string, string]) error {
				return strs.MDelete(ctx, "k", []string{"1", "2", "bad"})
			},
		} {
			t.Run(name+"/"+op, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, bus := remotetest.NewMemory(), remotetest.NewBus()
					open := func() *node {
						n := &node{local: stores["Otter"](t), remote: m, counts: &recStats{}}
						return n.open(t, append([]cache.Option{
							cache.WithLocal(n.local), cache.WithRemote(partly{m}), cache.WithSyncLocal(true), cache.WithSyncBus(bus),
						}, opts...))
					}
					a, b := open(), open()
					strs := cache.NewT[string, string](a.Cache)
					for _, key := range []string{"k:1", "k:2"} {
						_, _ = onceString(a, key, returns("old", nil))
						_, _ = onceString(b, key, returns("old", nil))
					}
					err := change(strs)
					if !errors.Is(err, errBoom) || strings.Contains(err.Error(), "k:1") {
						t.Errorf("got %v", err)
					}
					synctest.Wait()
					for _, key := range []string{"k:1", "k:2"} {
						if got := b.inLocal(key); got != "-" {
							t.Errorf("the other node still has %q of %s", got, key)
						}
						if got := a.inLocal(key); op == "MSet" && got != "new" {
							t.Errorf("this node has %q of %s", got, key)
						}
					}
				})
			})
		}
	}
}

// A change that is not for the remote, and gives up waiting, has nothing removed there.
func TestALocalChangeThatGivesUpLeavesTheRemoteAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t, cache.WithFence(time.Minute))
		strs := cache.NewT[int, string](n.Cache)
		_ = strs.Set(ctx, "k", 1, "v")
		n.remote.SetLatency(10 * time.Second)
		go func() { _ = strs.Set(ctx, "k", 1, "slow") }()
		synctest.Wait()
		for name, change := range map[string]func(ctx context.Context) error{
			"MSet": func(ctx context.Context) error {
				return strs.MSet(ctx, "k", map[int]string{1: "w", 2: "w"}, cache.TTL(-1))
			},
			"Set": func(ctx context.Context) error { return n.Set(ctx, "k:1", cache.Value("w"), cache.TTL(-1)) },
		} {
			waiting, cancel := context.WithTimeout(ctx, time.Second)
			if err := change(waiting); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
			if got := cache.SyncStateOf(n.Cache).Repairs; got != 0 {
				t.Errorf("%s: %d keys wait for their removal from the remote", name, got)
			}
		}
		time.Sleep(time.Minute)
		if got := n.inRemote("k:1"); got != "slow" {
			t.Errorf("the remote has %q", got)
		}
	})
}

// The handler of events gets keys of its own: what it does with them changes nothing for others.
func TestAHandlerMayChangeTheKeysOfAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bus := remotetest.NewMemory(), remotetest.NewBus()
		a := bothOn(t, m, cache.WithSyncLocal(true), cache.WithSyncBus(bus), cache.WithEventHandler(func(e *cache.Event) {
			for i := range e.Keys {
				e.Keys[i] = "rewritten"
			}
		}))
		b := bothOn(t, m, cache.WithSyncLocal(true), cache.WithSyncBus(bus))
		ids := idsUpTo(20)
		values := map[int]string{}
		for _, id := range ids {
			values[id] = "new"
		}
		for range 50 {
			_ = cache.NewT[int, string](b.Cache).MSet(ctx, "k", map[int]string{1: "old", 20: "old"})
			if err := cache.NewT[int, string](a.Cache).MSet(ctx, "k", values); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if x, y := b.inLocal("k:1"), b.inLocal("k:20"); x != "-" || y != "-" {
				t.Fatalf("the other node still has %q and %q", x, y)
			}
		}
	})
}
