package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// returnsAfter is a loader that takes d, whatever its ctx does.
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

// pass lets d pass in a bubble, and everything happen that is due by then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// recStats records counts by their short names: h, m, lh, lm, rh, rm, q, qf.
type recStats struct {
	mu     sync.Mutex
	counts map[string]int // guarded by mu
}

func (r *recStats) add(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[name]++
}

func (r *recStats) IncrHit()                      { r.add("h") }
func (r *recStats) IncrMiss()                     { r.add("m") }
func (r *recStats) IncrLocalHit()                 { r.add("lh") }
func (r *recStats) IncrLocalMiss()                { r.add("lm") }
func (r *recStats) IncrRemoteHit()                { r.add("rh") }
func (r *recStats) IncrRemoteMiss()               { r.add("rm") }
func (r *recStats) IncrQuery()                    { r.add("q") }
func (r *recStats) IncrQueryFail(error)           { r.add("qf") }
func (r *recStats) IncrRemoteError(string, error) { r.add("remoteError") }

// take returns the counts since the last call, in the order h m lh lm rh rm q qf, with a
// number where it is not one; failed remote calls are not among them.
func (r *recStats) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, name := range []string{"h", "m", "lh", "lm", "rh", "rm", "q", "qf"} {
		switch n := r.counts[name]; n {
		case 0:
		case 1:
			parts = append(parts, name)
		default:
			parts = append(parts, fmt.Sprint(name, "*", n))
		}
	}
	errs := r.counts["remoteError"]
	r.counts = map[string]int{"remoteError": errs}
	return strings.Join(parts, " ")
}

func (r *recStats) remoteErrors() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts["remoteError"]
}

// recEvents records events.
type recEvents struct {
	mu     sync.Mutex
	events []*cache.Event // guarded by mu
}

func (r *recEvents) handle(e *cache.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// take returns the events since the last call as "type:keys", in a bubble where all that
// can be delivered has been.
func (r *recEvents) take() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, e := range r.events {
		parts = append(parts, fmt.Sprintf("%d:%s", e.EventType, strings.Join(e.Keys, ",")))
	}
	r.events = nil
	return strings.Join(parts, " ")
}

// recLog records the log of one test.
type recLog struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func captureLog(t testing.TB) *recLog {
	r := &recLog{}
	logger.SetDefaultLogger(r)
	t.Cleanup(func() { logger.SetDefaultLogger(discard{}) })
	return r
}

func (r *recLog) add(level, format string, v []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, level+" "+fmt.Sprintf(format, v...))
}

func (r *recLog) Debug(format string, v ...any) { r.add("debug", format, v) }
func (r *recLog) Info(format string, v ...any)  { r.add("info", format, v) }
func (r *recLog) Warn(format string, v ...any)  { r.add("warn", format, v) }
func (r *recLog) Error(format string, v ...any) { r.add("error", format, v) }

// matching returns the lines that contain text.
func (r *recLog) matching(text string) (found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if strings.Contains(l, text) {
			found = append(found, l)
		}
	}
	return found
}

// discard keeps expected warnings out of the tests' output.
type discard struct{}

func (discard) Debug(string, ...any) {}
func (discard) Info(string, ...any)  {}
func (discard) Warn(string, ...any)  {}
func (discard) Error(string, ...any) {}

func init() { logger.SetDefaultLogger(discard{}) }

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
