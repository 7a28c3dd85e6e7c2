package remote_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// eachAdapter runs test with an adapter that sends many keys in one call of a script, and with an
// adapter that sends a call for each key.
func eachAdapter(t *testing.T, test func(t *testing.T, s redistest.Server, r *remote.GoRedisV9Adapter)) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		for name, client := range map[string]redis.Cmdable{"single node": s.Client, "other": struct{ redis.Cmdable }{s.Client}} {
			t.Run(name, func(t *testing.T) {
				if err := s.Client.FlushDB(ctx).Err(); err != nil {
					t.Fatal(err)
				}
				test(t, s, remote.NewGoRedis(client).(*remote.GoRedisV9Adapter))
			})
		}
	})
}

// failed returns the keys that a KeysError names, in order.
func failed(err error) []string {
	var some *remote.KeysError
	if !errors.As(err, &some) {
		return nil
	}
	return slices.Sorted(maps.Keys(some.Failed))
}

func numbered(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	return keys
}

func renewals(keys, nonces []string) []remote.FencedItem {
	items := make([]remote.FencedItem, len(keys))
	for i, key := range keys {
		items[i] = remote.FencedItem{Item: remote.Item{Key: key, Data: []byte("v")}, Nonce: nonces[i], Renew: true}
	}
	return items
}

// allAre reports whether there are n outcomes, and all are want.
func allAre(outcomes []remote.FenceOutcome, n int, want remote.FenceOutcome) bool {
	return len(outcomes) == n && !slices.ContainsFunc(outcomes, func(o remote.FenceOutcome) bool { return o != want })
}

// After a restart or a failover, the server does not know the scripts.
func TestScriptsThatTheServerDoesNotKnow(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, r *remote.GoRedisV9Adapter) {
		for _, n := range []int{1, 250, 700} {
			keys := numbered(n)
			if err := s.Client.ScriptFlush(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			nonces, err := r.OpenFences(ctx, time.Minute, keys...)
			if err != nil || slices.Contains(nonces, "") {
				t.Fatalf("OpenFences of %d keys: %q, %v", n, nonces, err)
			}
			outcomes, err := r.SetFenced(ctx, time.Minute, renewals(keys, nonces)...)
			if err != nil || !allAre(outcomes, n, remote.FenceStored) {
				t.Errorf("SetFenced of %d keys: %v, %v", n, outcomes, err)
			}
		}
	})
}

// One node of a Ring knows the scripts, and the other does not.
func TestScriptsThatOneNodeDoesNotKnow(t *testing.T) {
	one, two := miniredis.RunT(t), miniredis.RunT(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": one.Addr(), "two": two.Addr()}})
	t.Cleanup(func() { _ = ring.Close() })
	r := remote.NewGoRedis(ring).(*remote.GoRedisV9Adapter)
	keys := numbered(40)
	first, err := r.OpenFences(ctx, time.Minute, keys...)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: two.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	if err := client.ScriptFlush(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	again, err := r.OpenFences(ctx, time.Minute, keys...)
	if err != nil || !slices.Equal(again, first) {
		t.Errorf("%q, %v, want %q", again, err, first)
	}
	if len(one.Keys()) == 0 || len(two.Keys()) == 0 {
		t.Errorf("%d and %d keys: both nodes should have some", len(one.Keys()), len(two.Keys()))
	}
}

// Items that were not sent have no outcome.
func TestScriptsWithoutAServer(t *testing.T) {
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	m.Close()
	keys := numbered(250)
	for name, c := range map[string]redis.Cmdable{"single node": client, "other": struct{ redis.Cmdable }{client}} {
		t.Run(name, func(t *testing.T) {
			r := remote.NewGoRedis(c).(*remote.GoRedisV9Adapter)
			nonces, err := r.OpenFences(ctx, time.Minute, keys...)
			if len(failed(err)) != 250 || slices.ContainsFunc(nonces, func(n string) bool { return n != "" }) {
				t.Errorf("OpenFences: %q, %v", nonces, err)
			}
			outcomes, err := r.SetFenced(ctx, time.Minute, renewals(keys, nonces)...)
			if len(failed(err)) != 250 || !allAre(outcomes, 250, remote.FenceUnknown) {
				t.Errorf("SetFenced: %v, %v", outcomes, err)
			}
			answers, err := r.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: "k", Token: "t"})
			if len(failed(err)) != 1 || answers[0].State != remote.LeaseUnknown {
				t.Errorf("AcquireLeases: %v, %v", answers, err)
			}
		})
	}
}

func TestScriptsOnARingWithANodeDown(t *testing.T) {
	one, two := miniredis.RunT(t), miniredis.RunT(t)
	ring := redis.NewRing(&redis.RingOptions{
		Addrs:              map[string]string{"one": one.Addr(), "two": two.Addr()},
		HeartbeatFrequency: time.Hour,
		MaxRetries:         -1,
	})
	t.Cleanup(func() { _ = ring.Close() })
	r := remote.NewGoRedis(ring).(*remote.GoRedisV9Adapter)
	keys := numbered(40)
	two.Close()
	nonces, err := r.OpenFences(ctx, time.Minute, keys...)
	lost := failed(err)
	if len(lost) == 0 || len(lost) == len(keys) {
		t.Fatalf("%d of %d keys failed: %v", len(lost), len(keys), err)
	}
	for i, key := range keys {
		if (nonces[i] == "") != slices.Contains(lost, key) {
			t.Errorf("the nonce of %q is %q, and its error %v", key, nonces[i], err)
		}
	}
}

// togetherRefused refuses calls of scripts with several items, as a node of a cluster does.
type togetherRefused struct{}

func (togetherRefused) DialHook(next redis.DialHook) redis.DialHook { return next }

func (togetherRefused) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (togetherRefused) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if args := cmds[0].Args(); args[0] == "evalsha" && args[2].(int) > 2 {
			for _, cmd := range cmds {
				cmd.SetErr(crossSlot{})
			}
			return crossSlot{}
		}
		return next(ctx, cmds)
	}
}

func TestScriptsThatAreRefusedTogether(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		s.Client.AddHook(togetherRefused{})
		r := remote.NewGoRedis(s.Client).(*remote.GoRedisV9Adapter)
		keys := numbered(130)
		nonces, err := r.OpenFences(ctx, time.Minute, keys...)
		if err != nil {
			t.Fatal(err)
		}
		items := renewals(keys, nonces)
		items[7].Nonce = "another"
		outcomes, err := r.SetFenced(ctx, time.Minute, items...)
		if err != nil || outcomes[7] != remote.FenceChanged || !allAre(slices.Delete(outcomes, 7, 8), 129, remote.FenceStored) {
			t.Errorf("SetFenced: %v, %v", outcomes, err)
		}
		if err := r.DelFenced(ctx, time.Minute, keys...); err != nil {
			t.Error(err)
		}
		if got, err := r.MGet(ctx, keys...); len(got) != 0 || err != nil {
			t.Errorf("DelFenced left %v, %v", got, err)
		}
	})
}

// asUser returns an adapter for a user of a real Redis with these rights.
func asUser(t *testing.T, rights ...any) *remote.GoRedisV9Adapter {
	t.Helper()
	s := redistest.Real(t)
	user := rand.Text()
	if err := s.Client.Do(ctx, append([]any{"acl", "setuser", user, "on", ">pw", "+@all"}, rights...)...).Err(); err != nil {
		t.Skipf("skipped: users cannot be added to this Redis: %v", err)
	}
	t.Cleanup(func() { s.Client.Do(ctx, "acl", "deluser", user) })
	o := *s.Client.Options()
	o.Username, o.Password = user, "pw"
	client := redis.NewClient(&o)
	t.Cleanup(func() { _ = client.Close() })
	return remote.NewGoRedis(client).(*remote.GoRedisV9Adapter)
}

// A user that may not touch one of the keys can still use the others.
func TestScriptsOnKeysThatAreForbidden(t *testing.T) {
	r := asUser(t, "~k*", "~{k*")
	nonces, err := r.OpenFences(ctx, time.Minute, "k1", "secret", "k2")
	if got := failed(err); !slices.Equal(got, []string{"secret"}) || nonces[0] == "" || nonces[1] != "" || nonces[2] == "" {
		t.Errorf("OpenFences: %q, %v", nonces, err)
	}
}

// An error that is not about one key is the error of all keys.
func TestScriptsWhoseCommandsAreForbidden(t *testing.T) {
	r := asUser(t, "~*", "-set")
	const n = 250
	for range 3 {
		nonces, err := r.OpenFences(ctx, time.Minute, numbered(n)...)
		if len(failed(err)) != n || slices.ContainsFunc(nonces, func(n string) bool { return n != "" }) {
			t.Errorf("OpenFences: %q, %v", nonces, err)
		}
		if got, err := r.MGet(ctx, numbered(n)...); err != nil || len(got) != 0 {
			t.Errorf("the next command gets %v, %v", got, err)
		}
	}
}

// sentTwice sends each pipeline twice, as a client does whose replies were lost.
type sentTwice struct{}

func (sentTwice) DialHook(next redis.DialHook) redis.DialHook { return next }

func (sentTwice) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (sentTwice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		_ = next(ctx, cmds)
		return next(ctx, cmds)
	}
}

func TestScriptsThatAreSentAgain(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, r *remote.GoRedisV9Adapter) {
		o := *s.Client.Options()
		client := redis.NewClient(&o)
		defer func() { _ = client.Close() }()
		client.AddHook(sentTwice{})
		twice := remote.NewGoRedis(client).(*remote.GoRedisV9Adapter)
		keys := numbered(3)
		nonces, err := r.OpenFences(ctx, time.Minute, keys...)
		if err != nil {
			t.Fatal(err)
		}
		items := renewals(keys, nonces)
		items[0].IfAbsent = true
		outcomes, err := twice.SetFenced(ctx, time.Minute, items...)
		if err != nil || !allAre(outcomes, 3, remote.FenceStored) {
			t.Errorf("SetFenced: %v, %v", outcomes, err)
		}
		answers, err := twice.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: "k", Token: "t"})
		if err != nil || answers[0].State != remote.LeaseWon {
			t.Errorf("AcquireLeases: %v, %v", answers, err)
		}
	})
}

func TestRoundTripsOfScripts(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		r := remote.NewGoRedis(s.Client).(*remote.GoRedisV9Adapter)
		if _, err := r.OpenFences(ctx, time.Minute, "k"); err != nil { // loads the script
			t.Fatal(err)
		}
		var trips roundTrips
		s.Client.AddHook(&trips)
		for n, want := range map[int]int64{0: 0, 1: 1, 500: 1, 2345: 5} {
			if _, err := r.OpenFences(ctx, time.Minute, numbered(n)...); err != nil {
				t.Fatal(err)
			}
			if got := trips.pipelines.Swap(0); got != want {
				t.Errorf("%d keys took %d pipelines, want %d", n, got, want)
			}
		}
	})
}

// lying replies to scripts with a list of a wrong length.
type lying struct{}

func (lying) DialHook(next redis.DialHook) redis.DialHook { return next }

func (lying) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (lying) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if c, ok := cmd.(*redis.Cmd); ok {
				c.SetErr(nil)
				c.SetVal([]any{"nonce", nil})
			}
		}
		return nil
	}
}

func TestRepliesThatNoScriptMakes(t *testing.T) {
	s := redistest.Embedded(t)
	s.Client.AddHook(lying{})
	r := remote.NewGoRedis(s.Client).(*remote.GoRedisV9Adapter)
	if nonces, err := r.OpenFences(ctx, time.Minute, "k"); len(failed(err)) != 1 || nonces[0] != "" {
		t.Errorf("of two replies for a key: %q, %v", nonces, err)
	}
	if nonces, err := r.OpenFences(ctx, time.Minute, "k", "l"); !slices.Equal(failed(err), []string{"l"}) || nonces[0] != "nonce" {
		t.Errorf("of nil for a key: %q, %v", nonces, err)
	}
}
