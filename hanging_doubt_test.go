package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
	"github.com/redis/go-redis/v9"
)

// doubtTimeout is the default of WithDoubtTimeout.
const doubtTimeout = 100 * time.Millisecond

// gate makes the calls of a remote hang until it is opened.
type gate struct {
	shut chan struct{}
	err  error // of the calls that have hung
	// calls are those of the keys, "get" and "mget".
	calls atomic.Int64
}

func hangUntilOpened(m *remotetest.Memory, err error) *gate {
	g := &gate{shut: make(chan struct{}), err: err}
	m.SetFault(func(_ context.Context, op string, _ ...string) error {
		if op == "get" || op == "mget" {
			g.calls.Add(1)
		}
		<-g.shut
		return g.err
	})
	return g
}

// open lets the calls that hang end, and later ones pass.
func (g *gate) open(m *remotetest.Memory) {
	m.SetFault(nil)
	close(g.shut)
	synctest.Wait()
}

// inDoubt returns a node with these keys in its local level, all of which are in doubt, as its link is down. The remote has
// newer values.
func inDoubt(t *testing.T, keys []string, opts ...cache.Option) *node {
	nodes, bus := fleetOf(t, 1, append([]cache.Option{cache.WithSeparatorDisabled(true)}, opts...)...)
	n := nodes[0]
	for _, key := range keys {
		if err := n.Set(ctx, key, cache.Value("old")); err != nil {
			t.Fatal(err)
		}
		n.remote.Put(key, "new")
	}
	bus.Fail(errBoom)
	pass(blind)
	n.counts.take()
	return n
}

// doubtReads are the reads of one key.
var doubtReads = map[string]func(n *node, key string) (string, error){
	"Once": func(n *node, key string) (string, error) { return onceString(n, key, returns("loaded", nil)) },
	"Once with a ctx that can end": func(n *node, key string) (string, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return onceStringCtx(ctx, n, key, returns("loaded", nil))
	},
	"Get": func(n *node, key string) (s string, err error) { err = n.Get(ctx, key, &s); return s, err },
	"T.Get": func(n *node, key string) (string, error) {
		return stringsOf(n).Get(ctx, "", key, nil)
	},
	"MGet": func(n *node, key string) (string, error) {
		m, err := stringsOf(n).MGetWithErr(ctx, "", []string{key}, nil)
		if err != nil && err.Error() != "cache: reading 1 keys: cache: the remote does not answer" {
			return m[key], err
		}
		return m[key], nil
	},
}

// The first read of an entry in doubt waits for DoubtTimeout. No other read waits, until the remote answers.
func TestEntriesInDoubtAreServedAtOnceIfTheRemoteHangs(t *testing.T) {
	keys := []string{"a", "b", "c"}
	for name, read := range doubtReads {
		for _, wait := range []time.Duration{0, time.Second} { // zero: the default
			synctest.Test(t, func(t *testing.T) {
				n := inDoubt(t, keys, cache.WithDoubtTimeout(wait))
				want := doubtTimeout
				if wait > 0 {
					want = wait
				}
				g := hangUntilOpened(n.remote, nil)
				reads := func(value string, took time.Duration) {
					t.Helper()
					for _, key := range keys {
						began := time.Now()
						if s, err := read(n, key); s != value || err != nil || time.Since(began) != took {
							t.Errorf("%s: %q is %q, %v, after %s, want %s", name, key, s, err, time.Since(began), took)
						}
						took = 0
					}
				}
				reads("old", want)
				if got, want := n.counts.take(), "h*3 lh*3 lm*3 rm*3"; got != want {
					t.Errorf("%s: counted %q, want %q", name, got, want)
				}
				pass(time.Minute)
				reads("old", 0)
				if got := g.calls.Load(); got != 1 {
					t.Errorf("%s: %d calls of the remote, want 1", name, got)
				}
				g.open(n.remote)
				reads("new", 0)
			})
		}
	}
}

// While the remote fails, one read at a time finds out whether it still does.
func TestOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := make([]string, 50)
		for i := range keys {
			keys[i] = fmt.Sprint("k", i)
		}
		n := inDoubt(t, keys)
		g := hangUntilOpened(n.remote, errNoAnswer)
		read := func() (slow int) {
			var wg sync.WaitGroup
			var waited atomic.Int64
			for _, key := range keys {
				wg.Go(func() {
					began := time.Now()
					if s, err := onceString(n, key, never(t)); s != "old" || err != nil {
						t.Errorf("%q is %q, %v", key, s, err)
					}
					switch time.Since(began) {
					case 0:
					case doubtTimeout:
						waited.Add(1)
					default:
						t.Errorf("%q took %s", key, time.Since(began))
					}
				})
			}
			wg.Wait()
			return int(waited.Load())
		}
		if slow := read(); slow != len(keys) { // nothing was known yet
			t.Errorf("%d reads have waited at first", slow)
		}
		if slow := read(); slow != 0 {
			t.Errorf("then %d reads have waited", slow)
		}
		for range 3 { // what hung has failed
			before := g.calls.Load()
			close(g.shut)
			synctest.Wait()
			g.shut = make(chan struct{})
			if slow := read(); slow != 1 {
				t.Errorf("%d reads have waited after a failure", slow)
			}
			if got := g.calls.Load() - before; got != 1 {
				t.Errorf("%d calls after a failure", got)
			}
		}
		g.open(n.remote)
		// The failure has just ended, so this one is the probe, and it is answered.
		if s, err := onceString(n, keys[0], never(t)); s != "new" || err != nil {
			t.Errorf("then %q, %v", s, err)
		}
	})
}

// A failed read of a key that the local level does not have says that the remote is silent, too.
func TestOrdinaryReadsNoticeThatTheRemoteIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inDoubt(t, []string{"a", "b"})
		n.remote.SetFault(func(_ context.Context, op string, _ ...string) error { return errNoAnswer })
		_, _ = onceString(n, "absent", returns("v", nil))
		g := hangUntilOpened(n.remote, errNoAnswer)
		var wg sync.WaitGroup
		began := time.Now()
		for _, key := range []string{"a", "b"} {
			wg.Go(func() {
				if s, err := onceString(n, key, never(t)); s != "old" || err != nil {
					t.Errorf("%q is %q, %v", key, s, err)
				}
			})
		}
		wg.Wait()
		if got := g.calls.Load(); got != 1 || time.Since(began) != doubtTimeout {
			t.Errorf("%d calls, %s", got, time.Since(began))
		}
		g.open(n.remote)
		_, _ = onceString(n, "absent", returns("v", nil)) // is answered
		for _, key := range []string{"a", "b"} {
			if s, err := onceString(n, key, never(t)); s != "new" || err != nil {
				t.Errorf("then %q is %q, %v", key, s, err)
			}
		}
	})
}

// A batch with an id that the local level does not have waits for the remote. The ids in doubt do not: other readers of them
// are served.
func TestABatchOfDoubtedAndAbsentIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inDoubt(t, []string{"a", "b"})
		n.remote.SetFault(func(context.Context, string, ...string) error { time.Sleep(hang); return errNoAnswer })
		batch := func(want time.Duration) {
			t.Helper()
			began := time.Now()
			m, err := stringsOf(n).MGetWithErr(ctx, "", []string{"a", "b", "absent"}, func(_ context.Context, ids []string) (map[string]string, error) {
				if len(ids) != 1 {
					t.Errorf("it loads %q", ids)
				}
				return map[string]string{"absent": "loaded"}, nil
			})
			if m["a"] != "old" || m["b"] != "old" || m["absent"] != "loaded" || !errors.Is(err, errNoAnswer) || time.Since(began) != want {
				t.Errorf("%q, %v, after %s", m, err, time.Since(began))
			}
		}
		done := make(chan struct{})
		go func() { defer close(done); batch(hang) }()
		synctest.Wait()
		began := time.Now()
		if s, err := onceString(n, "a", never(t)); s != "old" || err != nil || time.Since(began) != doubtTimeout {
			t.Errorf("%q, %v, after %s", s, err, time.Since(began))
		}
		if s, err := onceString(n, "b", never(t)); s != "old" || err != nil || time.Since(began) != doubtTimeout {
			t.Errorf("%q, %v, after %s", s, err, time.Since(began))
		}
		if got, want := n.counts.take(), "h*3 lh*3 lm*4 rm*3"; got != want {
			t.Errorf("counted %q, want %q", got, want)
		}
		<-done
		n.DeleteFromLocalCache("absent")
		batch(hang) // with a probe
	})
}

// An answer that comes too late for its reader replaces the entry.
func TestALateAnswerReplacesTheEntry(t *testing.T) {
	for name, test := range map[string]struct {
		while func(n *node) // happens before the answer
		want  string        // what the local level has then
	}{
		"nothing happens": {func(*node) {}, "new"},
		"a Set":           {func(n *node) { _ = n.Set(ctx, "k", cache.Value("newest")) }, "newest"},
		"an invalidation": {func(n *node) { n.DeleteFromLocalCache("k") }, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes, bus := fleetOf(t, 1)
				n := nodes[0]
				_ = n.Set(ctx, "k", cache.Value("old"))
				_ = n.Set(ctx, "gone", cache.Value("old"))
				bus.Fail(errBoom)
				bus.Fail(nil)
				pass(blind) // the link is up again: the entries are in doubt until they are checked
				n.remote.Put("k", "new")
				_, _ = n.remote.Del(ctx, "gone")
				n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
					if op == "get" {
						time.Sleep(2 * doubtTimeout)
					}
					return nil
				})
				if s, err := onceString(n, "k", never(t)); s != "old" || err != nil {
					t.Errorf("%q, %v", s, err)
				}
				test.while(n)
				pass(2 * doubtTimeout)
				if got := n.inLocal("k"); got != test.want {
					t.Errorf("the local level has %q, want %q", got, test.want)
				}
				if s, err := onceString(n, "gone", never(t)); s != "old" || err != nil {
					t.Errorf("%q, %v", s, err)
				}
				pass(2 * doubtTimeout)
				if got := n.inLocal("gone"); got != "-" {
					t.Errorf("the local level has %q of a key that is gone", got)
				}
				if test.want != "-" { // it is not in doubt any more
					n.remote.SetFault(func(context.Context, string, ...string) error { t.Error("the remote is asked"); return nil })
					if s, err := onceString(n, "k", never(t)); s != test.want || err != nil {
						t.Errorf("then %q, %v", s, err)
					}
				}
				n.remote.SetFault(nil)
			})
		})
	}
}

// The old value arrives after another gap. It must not count as new.
func TestALateAnswerFromBeforeAGapIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := fleetOf(t, 1)
		n := nodes[0]
		_ = n.Set(ctx, "k", cache.Value("old"))
		gap := func() { bus.Fail(errBoom); bus.Fail(nil); pass(blind) }
		gap()
		var late sync.Once
		hold := make(chan struct{})
		s := &answering{Memory: n.remote, late: func() { late.Do(func() { <-hold }) }}
		c := cache.New(cache.WithLocal(n.local), cache.WithRemote(s), cache.WithSyncLocal(true), cache.WithSyncBus(bus))
		defer c.Close()
		pass(4 * heartbeat)
		if s, err := onceString(c, "k", never(t)); s != "old" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
		n.remote.Put("k", "new")
		gap()
		close(hold)
		synctest.Wait()
		if s, err := onceString(c, "k", never(t)); s != "new" || err != nil {
			t.Errorf("then %q, %v", s, err)
		}
	})
}

// answering is a remote that calls late between an answer and its arrival.
type answering struct {
	*remotetest.Memory
	late func()
}

func (a *answering) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	v, err := a.Memory.GetWithTTL(ctx, key)
	a.late()
	return v, err
}

// A refresh on a node that does not load copies what the remote has. It does not wait for a remote that hangs either.
func TestCopiesOfARefreshDoNotWaitForARemoteThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inDoubt(t, []string{"k"}, cache.WithRefreshDuration(time.Minute), cache.WithStopRefreshAfterLastAccess(time.Hour))
		_, _ = onceString(n, "k", returns("loaded", nil), cache.Refresh(true))
		n.remote.Put("k_#RL#", "other") // another node loads, in each interval
		g := hangUntilOpened(n.remote, errNoAnswer)
		n.remote.SetFault(func(_ context.Context, op string, keys ...string) error {
			if op == "get" && keys[0] == "k" {
				g.calls.Add(1)
				<-g.shut
			}
			return nil
		})
		pass(10 * time.Minute)
		if got := g.calls.Load(); got != 1 {
			t.Errorf("%d calls", got)
		}
		g.open(n.remote)
	})
}

// A panic of the remote in a check does not end the process, and the entry is served.
func TestAPanicOfTheRemoteInACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inDoubt(t, []string{"k"})
		n.remote.SetFault(func(context.Context, string, ...string) error { panic("the pieces") })
		if s, err := onceString(n, "k", never(t)); s != "old" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
		if got := n.inLocal("k"); got != "old" {
			t.Errorf("the local level has %q", got)
		}
		n.remote.SetFault(nil)
	})
}

// A node beside a stopped Redis serves what it has.
func TestWarmHitsBesideAStoppedRedis(t *testing.T) {
	p := redistest.NewProcess(t)
	client := redis.NewClient(&redis.Options{Addr: p.Addr(), ReadTimeout: time.Second, MaxRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	counter := new(callCounter)
	client.AddHook(counter)
	bus := remotetest.NewBus()
	n := &node{local: stores["TinyLFU"](t), counts: &recStats{}}
	n.open(t, []cache.Option{
		cache.WithLocal(n.local), cache.WithRemote(remote.NewGoRedisV9Adapter(client)), cache.WithFence(time.Minute),
		cache.WithSyncLocal(true), cache.WithSyncBus(bus), cache.WithSyncHeartbeat(50 * time.Millisecond),
	})
	for i := range 100 {
		if err := n.Set(ctx, fmt.Sprint("k", i), cache.Value("v")); err != nil {
			t.Fatal(err)
		}
	}
	bus.Fail(errBoom)
	for cache.SyncStateOf(n).Ready {
		time.Sleep(time.Millisecond)
	}
	p.Pause()
	before := counter.calls.Load()
	for range 10 {
		for i := range 100 {
			if s, err := onceString(n, fmt.Sprint("k", i), never(t)); s != "v" || err != nil {
				t.Errorf("%q, %v", s, err)
			}
		}
	}
	t.Logf("%d calls of Redis for 1,000 reads", counter.calls.Load()-before)
	if got := counter.calls.Load() - before; got > 100 { // one at a time, and each takes seconds
		t.Errorf("%d calls of Redis for 1,000 reads", got)
	}
	p.Resume()
}
