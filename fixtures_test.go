package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestMain(m *testing.M) {
	logger.SetDefaultLogger(discard{})
	goleak.VerifyTestMain(m)
}

var (
	ctx     = context.Background()
	errBoom = errors.New("boom")
)

type user struct {
	ID    int
	Name  string
	Roles []string
}

func userOf(id int) user { return user{ID: id, Name: fmt.Sprint("user ", id), Roles: []string{"r"}} }

// stores are the kinds of local stores that the caches under test use.
var stores = map[string]func(t testing.TB) local.Local{
	"TinyLFU": func(t testing.TB) local.Local {
		s := local.NewTinyLFU(10_000, time.Hour)
		t.Cleanup(s.Close)
		return s
	},
	"FreeCache": func(testing.TB) local.Local { return arena().NewFreeCache(time.Hour) },
	"Otter": func(t testing.TB) local.Local {
		s := local.NewOtter(10_000, time.Hour)
		t.Cleanup(s.Close)
		return s
	},
}

var arena = sync.OnceValue(func() *local.Arena { return local.NewArena(8 * local.MB) })

// node is a cache and what it is made of.
type node struct {
	cache.Cache
	local  local.Local
	remote *remotetest.Memory
	counts *recStats
}

// both, onlyRemote and onlyLocal make the three topologies; each node ends with the test.

func both(t testing.TB, opts ...cache.Option) *node {
	return bothOn(t, remotetest.NewMemory(), opts...)
}

// bothOn is both on a remote that several nodes may share.
func bothOn(t testing.TB, m *remotetest.Memory, opts ...cache.Option) *node {
	n := &node{local: stores["TinyLFU"](t), remote: m, counts: &recStats{}}
	return n.open(t, append([]cache.Option{cache.WithLocal(n.local), cache.WithRemote(m)}, opts...))
}

func onlyRemote(t testing.TB, opts ...cache.Option) *node {
	n := &node{remote: remotetest.NewMemory(), counts: &recStats{}}
	return n.open(t, append([]cache.Option{cache.WithRemote(n.remote)}, opts...))
}

func onlyLocal(t testing.TB, opts ...cache.Option) *node {
	n := &node{local: stores["TinyLFU"](t), counts: &recStats{}}
	return n.open(t, append([]cache.Option{cache.WithLocal(n.local)}, opts...))
}

func (n *node) open(t testing.TB, opts []cache.Option) *node {
	n.Cache = cache.New(append([]cache.Option{cache.WithStatsHandler(n.counts)}, opts...)...)
	t.Cleanup(n.Close)
	return n
}

// overStore is both over a local store of this kind.
func overStore(t testing.TB, store string, opts ...cache.Option) *node {
	n := &node{local: stores[store](t), remote: remotetest.NewMemory(), counts: &recStats{}}
	return n.open(t, append([]cache.Option{cache.WithLocal(n.local), cache.WithRemote(n.remote)}, opts...))
}

// inLocal returns what the local level holds, "-" for nothing.
func (n *node) inLocal(key string) string {
	if data, ok := n.local.Get(key); ok {
		return string(data)
	}
	return "-"
}

// inRemote returns what the remote level holds, "-" for nothing.
func (n *node) inRemote(key string) string {
	if data, ok := n.remote.Peek(key); ok {
		return data
	}
	return "-"
}

// expectStored checks both levels.
func (n *node) expectStored(t testing.TB, key, inLocal, inRemote string) {
	t.Helper()
	if l, r := n.inLocal(key), n.inRemote(key); l != inLocal || r != inRemote {
		t.Errorf("%q is %q in local and %q in the remote, want %q and %q", key, l, r, inLocal, inRemote)
	}
}

// onceString is Once for a string.
func onceString(c cache.Cache, key string, opts ...cache.ItemOption) (string, error) {
	return onceStringCtx(ctx, c, key, opts...)
}

func onceStringCtx(ctx context.Context, c cache.Cache, key string, opts ...cache.ItemOption) (string, error) {
	var s string
	err := c.Once(ctx, key, append(opts, cache.Value(&s))...)
	return s, err
}

// returns is a loader.
func returns(v any, err error) cache.ItemOption {
	return cache.Do(func(context.Context) (any, error) { return v, err })
}

// returnsAfter is a loader that takes d and ignores its ctx.
func returnsAfter(d time.Duration, v any, err error) cache.ItemOption {
	return cache.Do(func(context.Context) (any, error) {
		time.Sleep(d)
		return v, err
	})
}

// never is a loader that must not be called.
func never(t testing.TB) cache.ItemOption {
	return cache.Do(func(context.Context) (any, error) {
		t.Error("the loader was called")
		return nil, errBoom
	})
}

// pass lets d pass in a bubble. It returns when everything that is due by then has happened.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// panicText returns what f panics with.
func panicText(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
		}
	}()
	f()
	return ""
}

func loadUsers(_ context.Context, ids []int) (map[int]user, error) {
	found := map[int]user{}
	for _, id := range ids {
		found[id] = userOf(id)
	}
	return found, nil
}
