package remote_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// attempts is a hook that notes the commands of pipelines. The network may deliver any of them again:
// go-redis repeats a call whose reply was lost, and the first attempt may arrive after the second.
type attempts struct {
	client *redis.Client // without the hook
	noted  [][]any
}

func (*attempts) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*attempts) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (a *attempts) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
				return err // the caller sends the whole script
			}
		}
		for _, cmd := range cmds {
			if strings.HasPrefix(cmd.Name(), "eval") {
				a.noted = append(a.noted, slices.Clone(cmd.Args()))
			}
		}
		return err
	}
}

// again delivers what was noted once more, and forgets it. It returns the last reply.
func (a *attempts) again(t *testing.T) (reply any) {
	t.Helper()
	if len(a.noted) == 0 {
		t.Fatal("nothing was sent")
	}
	for _, args := range a.noted {
		var err error
		if reply, err = a.client.Do(ctx, args...).Result(); err != nil {
			t.Fatalf("sending %v again: %v", args[0], err)
		}
	}
	a.noted = nil
	return reply
}

// lateNode is an adapter whose calls can be delivered again.
type lateNode struct {
	*remote.GoRedisV9Adapter
	attempts
}

func newLateNode(t *testing.T, s redistest.Server) *lateNode {
	t.Helper()
	o := *s.Client.Options()
	client := redis.NewClient(&o)
	t.Cleanup(func() { _ = client.Close() })
	n := &lateNode{remote.NewGoRedis(client).(*remote.GoRedisV9Adapter), attempts{client: s.Client}}
	client.AddHook(&n.attempts)
	return n
}

// fencedChanges are the changes that renew the fence of a key.
var fencedChanges = map[string]func(ctx context.Context, r *remote.GoRedisV9Adapter, key string) error{
	"SetFenced": func(ctx context.Context, r *remote.GoRedisV9Adapter, key string) error {
		_, err := r.SetFenced(ctx, time.Minute, remote.FencedItem{Item: remote.Item{Key: key, Data: []byte("set"), Expire: time.Hour}, Renew: true})
		return err
	},
	"DelFenced": func(ctx context.Context, r *remote.GoRedisV9Adapter, key string) error {
		return r.DelFenced(ctx, time.Minute, key)
	},
	"CloseFences": func(ctx context.Context, r *remote.GoRedisV9Adapter, key string) error {
		return r.CloseFences(ctx, time.Minute, "t", key)
	},
	"ReopenFences": reopen,
}

// reopen reopens the fence of key, which may be open.
func reopen(ctx context.Context, r *remote.GoRedisV9Adapter, key string) error {
	if err := r.ReopenFences(ctx, time.Minute, "t", key); !errors.Is(err, remote.ErrFenceLost) {
		return err
	}
	return nil
}

// An attempt that is delivered twice must not bring back the nonce that it wrote first: a load that
// noted this nonce may have read what a later change has replaced.
func TestANonceNeverComesBack(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, other *remote.GoRedisV9Adapter) {
		for name, change := range fencedChanges {
			for _, gone := range []bool{false, true} {
				late, key := newLateNode(t, s), fmt.Sprint(name, gone)
				if err := change(ctx, late.GoRedisV9Adapter, key); err != nil {
					t.Fatal(err)
				}
				nonces, err := other.OpenFences(ctx, time.Minute, key)
				if err != nil {
					t.Fatal(err)
				}
				if err := other.DelFenced(ctx, time.Minute, key); err != nil { // a newer change
					t.Fatal(err)
				}
				if gone { // the fence has expired, or was evicted
					fence, _ := remote.FenceKey(key)
					s.Client.Del(ctx, fence)
				}
				late.again(t)
				outcomes, err := other.SetFenced(ctx, time.Minute, remote.FencedItem{
					Item: remote.Item{Key: key, Data: []byte("stale"), Expire: time.Hour}, Nonce: nonces[0],
				})
				if err != nil || outcomes[0] != remote.FenceChanged {
					t.Errorf("%s, fence gone: %v: a value from before the newer change: %v, %v", name, gone, outcomes, err)
				}
			}
		}
	})
}

// The first attempt of a change arrives after its second one has succeeded, and after newer changes.
func TestAChangeThatArrivesLateDoesNothing(t *testing.T) {
	newer := func(r *remote.GoRedisV9Adapter, key string) error {
		_, err := r.SetFenced(ctx, time.Minute, remote.FencedItem{Item: remote.Item{Key: key, Data: []byte("newer"), Expire: time.Hour}, Renew: true})
		return err
	}
	eachAdapter(t, func(t *testing.T, s redistest.Server, other *remote.GoRedisV9Adapter) {
		for name, change := range fencedChanges {
			late := newLateNode(t, s)
			for who, r := range map[string]*remote.GoRedisV9Adapter{"the same node": late.GoRedisV9Adapter, "another node": other} {
				key := name + " by " + who
				if err := change(ctx, late.GoRedisV9Adapter, key); err != nil {
					t.Fatal(err)
				}
				sent := late.noted
				if err := reopen(ctx, r, key); err != nil { // what CloseFences has closed
					t.Fatal(err)
				}
				if err := newer(r, key); err != nil {
					t.Fatal(err)
				}
				nonces, err := r.OpenFences(ctx, time.Minute, key)
				if err != nil {
					t.Fatal(err)
				}
				late.noted = sent
				late.again(t)
				if got, err := s.Client.Get(ctx, key).Result(); got != "newer" || err != nil {
					t.Errorf("%s after a change by %s: the value is %q, %v", name, who, got, err)
				}
				after, err := r.OpenFences(ctx, time.Minute, key)
				if err != nil || after[0] != nonces[0] {
					t.Errorf("%s after a change by %s: the nonce is %q, before it was %q (%v)", name, who, after[0], nonces[0], err)
				}
			}
		}
	})
}

// A SetNX that was refused must not find later that the key is absent.
func TestARefusedSetThatArrivesAgainLaterIsRefused(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, other *remote.GoRedisV9Adapter) {
		late := newLateNode(t, s)
		if err := s.Client.Set(ctx, "k", "there", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		absent := remote.FencedItem{Item: remote.Item{Key: "k", Data: []byte("late")}, IfAbsent: true, Renew: true}
		if outcomes, err := late.SetFenced(ctx, time.Minute, absent); err != nil || outcomes[0] != remote.FenceCondition {
			t.Fatal(outcomes, err)
		}
		sent := late.noted
		if got := fmt.Sprint(late.again(t)); got != "[3]" { // a repeat before anything else
			t.Errorf("the repeat gets %s", got)
		}
		if err := other.DelFenced(ctx, time.Minute, "k"); err != nil {
			t.Fatal(err)
		}
		late.noted = sent
		late.again(t)
		if n, err := s.Client.Exists(ctx, "k").Result(); n != 0 || err != nil {
			t.Errorf("a Set that was refused has stored its value after a Delete (%v)", err)
		}
	})
}

// A repeat of ReopenFences says what the first attempt has found.
func TestARepeatReportsALostFence(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, _ *remote.GoRedisV9Adapter) {
		late := newLateNode(t, s)
		if err := late.ReopenFences(ctx, time.Minute, "t", "lost"); !errors.Is(err, remote.ErrFenceLost) {
			t.Fatal(err)
		}
		if got := fmt.Sprint(late.again(t)); got != "[0]" {
			t.Errorf("the repeat of a fence that was lost gets %s", got)
		}
		if err := late.CloseFences(ctx, time.Minute, "t", "held"); err != nil {
			t.Fatal(err)
		}
		late.noted = nil
		if err := late.ReopenFences(ctx, time.Minute, "t", "held"); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(late.again(t)); got != "[1]" {
			t.Errorf("the repeat of a fence that was held gets %s", got)
		}
	})
}

// A fence remembers the newest changes of a bounded number of nodes.
func TestTheHistoryOfAFenceIsBounded(t *testing.T) {
	s := redistest.Embedded(t)
	for range 50 {
		r := remote.NewGoRedis(s.Client).(*remote.GoRedisV9Adapter)
		for range 3 {
			if err := r.DelFenced(ctx, time.Minute, "k"); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := s.Client.Get(ctx, "{k}#f").Result()
	if err != nil || len(got) > 1<<10 || strings.Count(got, ";") != 32 {
		t.Errorf("the fence has %d bytes: %q, %v", len(got), got, err)
	}
}
