package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/redis/go-redis/v9"
)

// errNoAnswer is the error of a call that has hung.
var errNoAnswer = errors.New("no answer")

// hang is how long a call of a remote hangs, whatever its ctx says, before it fails: go-redis does not
// heed the deadline of a ctx while it waits for an answer. It is shorter than a lease lives.
const hang = time.Second

// hangFrom makes the calls of n's remote hang, from the i-th one on.
func (n *node) hangFrom(i int64) {
	var calls atomic.Int64
	n.remote.SetFault(func(context.Context, string, ...string) error {
		if calls.Add(1) <= i {
			return nil
		}
		time.Sleep(hang)
		return errNoAnswer
	})
}

// optionSets are the combinations of the options that make calls of the remote.
var optionSets = map[string][]cache.Option{
	"none":            nil,
	"fence":           {cache.WithFence(time.Minute)},
	"lease":           {cache.WithLease(leaseTTL)},
	"fence and lease": {cache.WithFence(time.Minute), cache.WithLease(leaseTTL)},
}

// actions are calls of a cache. A call that only reads has its value; so has a load whose value the remote does not take.
var actions = map[string]struct {
	reads bool
	call  func(n *node) (string, error)
}{
	"Once": {true, func(n *node) (string, error) { return onceString(n, "k", returns("v", nil)) }},
	"Once with a ctx that can end": {true, func(n *node) (string, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return onceStringCtx(ctx, n, "k", returns("v", nil))
	}},
	"Once of a record that does not exist": {true, func(n *node) (string, error) {
		if err := n.Once(ctx, "k", returns(nil, cache.ErrNotFound)); !errors.Is(err, cache.ErrNotFound) {
			return "", fmt.Errorf("not %w", err)
		}
		return "v", nil
	}},
	"Once whose loader fails": {true, func(n *node) (string, error) {
		if err := n.Once(ctx, "k", returns(nil, errBoom)); !errors.Is(err, errBoom) {
			return "", fmt.Errorf("not %w", err)
		}
		return "v", nil
	}},
	"T.Get": {true, func(n *node) (string, error) {
		return stringsOf(n).Get(ctx, "", "k", func(context.Context, string) (string, error) { return "v", nil })
	}},
	"MGet": {true, func(n *node) (string, error) {
		m, err := stringsOf(n).MGetWithErr(ctx, "", []string{"k", "l"}, func(context.Context, []string) (map[string]string, error) {
			return map[string]string{"k": "v", "l": "v"}, nil
		})
		if len(m) != 2 || !errors.Is(err, errNoAnswer) {
			return "", fmt.Errorf("MGet: %v, %w", m, err)
		}
		return m["k"], nil
	}},
	"Set":         {false, func(n *node) (string, error) { return "", n.Set(ctx, "k", cache.Value("v")) }},
	"Set with Do": {false, func(n *node) (string, error) { return "", n.Set(ctx, "k", returns("v", nil)) }},
	"SetNX with Do": {false, func(n *node) (string, error) {
		return "", n.Set(ctx, "k", returns("v", nil), cache.SetNX(true))
	}},
	"MSet": {false, func(n *node) (string, error) {
		return "", stringsOf(n).MSet(ctx, "", map[string]string{"k": "v", "l": "v"})
	}},
	"Delete": {false, func(n *node) (string, error) { return "", n.Delete(ctx, "k") }},
	"RefreshNow": {true, func(n *node) (string, error) {
		n.remote.SetFault(nil)
		if _, err := onceString(n, "k", returns("v", nil), cache.Refresh(true)); err != nil {
			return "", err
		}
		n.hangFrom(0)
		return "v", cache.RefreshNow(ctx, n.Cache, "k")
	}},
}

// Whatever the options, a call waits for one call of a remote that hangs, and not for more.
func TestACallWaitsOnceForARemoteThatHangs(t *testing.T) {
	for options, opts := range optionSets {
		for name, action := range actions {
			for from := range int64(6) {
				synctest.Test(t, func(t *testing.T) {
					opts := append([]cache.Option{cache.WithSeparatorDisabled(true), cache.WithRefreshDuration(time.Hour)}, opts...)
					n := both(t, opts...)
					n.hangFrom(from)
					began := time.Now()
					got, err := action.call(n)
					took := time.Since(began)
					if took > hang {
						t.Errorf("%s, %s, if the remote hangs from call %d on: it took %s", options, name, from, took)
					}
					switch hung := took > 0; {
					case action.reads && name != "MGet" && (got != "v" || err != nil):
						t.Errorf("%s, %s, from call %d on: %q, %v", options, name, from, got, err)
					case !action.reads && hung && err == nil:
						t.Errorf("%s, %s, from call %d on: %v", options, name, from, err)
					}
					n.remote.SetFault(nil)
				})
			}
		}
	}
}

// A read that failed is not followed by a lease, a fence or a store.
func TestNothingFollowsAReadThatFailed(t *testing.T) {
	for options, opts := range optionSets {
		synctest.Test(t, func(t *testing.T) {
			n := both(t, append([]cache.Option{cache.WithSeparatorDisabled(true)}, opts...)...)
			n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "get" || op == "mget" {
					return errNoAnswer
				}
				t.Errorf("%s: %s", options, op)
				return nil
			})
			if s, err := onceString(n, "once", returns("v", nil)); s != "v" || err != nil {
				t.Errorf("%s: %q, %v", options, s, err)
			}
			if got, want := n.counts.take(), "m lm rm q"; got != want {
				t.Errorf("%s: counted %q, want %q", options, got, want)
			}
			m, err := stringsOf(n).MGetWithErr(ctx, "", []string{"a", "b", "none"}, func(context.Context, []string) (map[string]string, error) {
				return map[string]string{"a": "v", "b": "v"}, nil
			})
			const want = "cache: reading 3 keys: no answer\n" +
				"cache: writing 3 keys: not sent to the remote, which gave no answer before: no answer"
			if len(m) != 2 || fmt.Sprint(err) != want {
				t.Errorf("%s: %v, %v, want %s", options, m, err, want)
			}
			for key, want := range map[string]string{"once": "v", "a": "v", "b": "v", "none": "*"} {
				n.expectStored(t, key, want, "-")
			}
			n.remote.SetFault(nil)
		})
	}
}

// The remote does not answer for one key of a batch. The others are stored.
func TestKeysThatWereReadAreStoredBesideThoseThatWereNot(t *testing.T) {
	for options, opts := range optionSets {
		synctest.Test(t, func(t *testing.T) {
			n := both(t, append([]cache.Option{cache.WithSeparatorDisabled(true)}, opts...)...)
			n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "mget" {
					return &remote.KeysError{Op: "get", Failed: map[string]error{"b": errNoAnswer}}
				}
				return nil
			})
			m, err := stringsOf(n).MGetWithErr(ctx, "", []string{"a", "b"}, func(_ context.Context, ids []string) (map[string]string, error) {
				if len(ids) != 2 {
					t.Errorf("%s: it loads %q", options, ids)
				}
				return map[string]string{"a": "v", "b": "v"}, nil
			})
			if len(m) != 2 || !errors.Is(err, errNoAnswer) {
				t.Errorf("%s: %v, %v", options, m, err)
			}
			n.expectStored(t, "a", "v", "v")
			n.expectStored(t, "b", "v", "-")
		})
	}
}

// reply is an error that the server of the remote has replied.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// A server that replies with an error works: what its answer is about is overwritten.
func TestAKeyOfAnotherTypeIsOverwritten(t *testing.T) {
	for options, opts := range optionSets {
		synctest.Test(t, func(t *testing.T) {
			n := both(t, opts...)
			n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "get" {
					return reply("WRONGTYPE Operation against a key holding the wrong kind of value")
				}
				return nil
			})
			if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
				t.Errorf("%s: %q, %v", options, s, err)
			}
			n.expectStored(t, "k", "v", "v")
		})
	}
}

// The store of a value fails. Its caller does not wait for the lease to be given back, but other nodes do not wait for
// the end of the lease.
func TestALeaseIsGivenBackBehindAFailedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 2, false)
		nodes[0].remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			switch op {
			case "set":
				return errNoAnswer
			case "releaseLeases":
				time.Sleep(hang / 2)
			}
			return nil
		})
		began := time.Now()
		other := make(chan time.Duration)
		go func() {
			synctest.Wait()
			_, _ = onceString(nodes[1], "k", returns("v", nil))
			other <- time.Since(began)
		}()
		if s, err := onceString(nodes[0], "k", returnsAfter(hang, "v", nil)); s != "v" || err != nil || time.Since(began) != hang {
			t.Errorf("%q, %v, after %s", s, err, time.Since(began))
		}
		nodes[0].Close() // it waits for the release
		if took := time.Since(began); took != hang+hang/2 {
			t.Errorf("closed after %s", took)
		}
		if took := <-other; took > 2*hang {
			t.Errorf("the other node waits %s", took)
		}
	})
}

// A wait for another node ends with the lease, also if the remote hangs for longer.
func TestAWaitForALeaseIsBoundedIfTheRemoteHangs(t *testing.T) {
	for name, from := range map[string]int64{"from the first call on": 0, "later": 5} {
		synctest.Test(t, func(t *testing.T) {
			n := leasedFleet(t, 1, false)[0]
			if _, err := n.remote.AcquireLeases(ctx, 2*leaseTTL, remote.LeaseAsk{Key: "k", Token: "other"}); err != nil {
				t.Fatal(err)
			}
			var asks atomic.Int64
			over := make(chan struct{})
			n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "acquireLeases" && asks.Add(1) > from {
					<-over
					return errNoAnswer
				}
				return nil
			})
			began := time.Now()
			if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil || time.Since(began) != leaseTTL {
				t.Errorf("%s: %q, %v, after %s", name, s, err, time.Since(began))
			}
			n.expectStored(t, "k", "v", "-")
			if got := asks.Load(); got != from+1 {
				t.Errorf("%s: %d asks", name, got)
			}
			close(over)
		})
	}
}

// callCounter counts the calls of a Redis client: commands and pipelines, without their retries.
type callCounter struct{ calls atomic.Int64 }

func (c *callCounter) count(name string) {
	if name != "hello" && name != "client" { // they belong to a new connection
		c.calls.Add(1)
	}
}

func (c *callCounter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *callCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { c.count(cmd.Name()); return next(ctx, cmd) }
}

func (c *callCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { c.count(cmds[0].Name()); return next(ctx, cmds) }
}

// A load beside a stopped Redis waits for one call, with whatever options.
func TestALoadBesideAStoppedRedisMakesOneCall(t *testing.T) {
	p := redistest.NewProcess(t)
	client := redis.NewClient(&redis.Options{Addr: p.Addr(), ReadTimeout: 50 * time.Millisecond, MaxRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	counter := new(callCounter)
	client.AddHook(counter)
	p.Client() // it waits until the server answers
	if err := client.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	p.Pause()
	defer p.Resume()
	for options, opts := range optionSets {
		n := &node{local: stores["TinyLFU"](t), counts: &recStats{}}
		n.open(t, append([]cache.Option{
			cache.WithLocal(n.local), cache.WithRemote(remote.NewGoRedisV9Adapter(client)), cache.WithSeparatorDisabled(true),
		}, opts...))
		before := counter.calls.Load()
		if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
			t.Errorf("%s: Once: %q, %v", options, s, err)
		}
		m, err := stringsOf(n).MGetWithErr(ctx, "", []string{"a", "b"}, func(context.Context, []string) (map[string]string, error) {
			return map[string]string{"a": "v", "b": "v"}, nil
		})
		if len(m) != 2 || err == nil {
			t.Errorf("%s: MGet: %v, %v", options, m, err)
		}
		if got := counter.calls.Load() - before; got != 2 {
			t.Errorf("%s: %d calls of Redis, want 2", options, got)
		}
	}
}

// While a refresh loads a key, its readers look into the remote beside it. If that hangs, they do not look again when the
// refresh has ended.
func TestAReadBesideARefreshWaitsOnceForARemoteThatHangs(t *testing.T) {
	for name, read := range map[string]func(n *node) error{
		"Once": func(n *node) error {
			s, err := onceString(n, "k", returns("v", nil))
			if s != "v" {
				t.Errorf("Once: %q", s)
			}
			return err
		},
		"MGet": func(n *node) error {
			m, err := stringsOf(n).MGetWithErr(ctx, "", []string{"k", "l"}, func(context.Context, []string) (map[string]string, error) {
				return map[string]string{"k": "v", "l": "v"}, nil
			})
			if len(m) != 2 || !errors.Is(err, errNoAnswer) {
				t.Errorf("MGet: %q, %v", m, err)
			}
			return nil
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := both(t, cache.WithSeparatorDisabled(true), cache.WithRefreshDuration(time.Hour))
			var loads atomic.Int64
			if _, err := onceString(n, "k", cache.Refresh(true), cache.Do(func(context.Context) (any, error) {
				if loads.Add(1) > 1 {
					time.Sleep(hang / 2)
				}
				return "v", nil
			})); err != nil {
				t.Fatal(err)
			}
			_, _ = n.remote.Del(ctx, "k")
			n.hangFrom(0)
			n.DeleteFromLocalCache("k")
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = cache.RefreshNow(ctx, n.Cache, "k")
			}()
			synctest.Wait()
			began := time.Now()
			if err := read(n); err != nil || time.Since(began) > 3*hang/2 {
				t.Errorf("%s: %v, after %s", name, err, time.Since(began))
			}
			<-done
			n.remote.SetFault(nil)
		})
	}
}
