package remote_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// overtaken is a hook that runs a function between the stamp of a change and its sending.
type overtaken struct{ by func() }

func (*overtaken) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*overtaken) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (o *overtaken) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if by := o.by; by != nil && strings.HasPrefix(cmds[0].Name(), "eval") {
			o.by = nil
			by()
		}
		return next(ctx, cmds)
	}
}

// Two caches of a process share an adapter. A change of one is stamped, and a change of the other
// arrives before it. Both have their effect when they return.
func TestChangesOfAnAdapterThatCross(t *testing.T) {
	eachAdapter(t, func(t *testing.T, s redistest.Server, _ *remote.GoRedisV9Adapter) {
		o := *s.Client.Options()
		client := redis.NewClient(&o)
		defer func() { _ = client.Close() }()
		var hook overtaken
		client.AddHook(&hook)
		r := remote.NewGoRedis(client).(*remote.GoRedisV9Adapter)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		nonceOf := func(key string) string {
			t.Helper()
			nonces, err := r.OpenFences(ctx, time.Minute, key)
			must(err)
			return nonces[0]
		}
		set := func(i remote.FencedItem) {
			t.Helper()
			outcomes, err := r.SetFenced(ctx, time.Minute, i)
			if err != nil || outcomes[0] != remote.FenceStored {
				t.Fatal(outcomes, err)
			}
		}
		loaded := item("deleted", nonceOf("deleted"))
		loaded.Renew = true
		hook.by = func() { set(loaded) }
		must(r.DelFenced(ctx, time.Minute, "deleted"))
		if n, err := s.Client.Exists(ctx, "deleted").Result(); n != 0 || err != nil {
			t.Errorf("a Delete that has returned has left an older load (%v)", err)
		}

		hook.by = func() { must(r.DelFenced(ctx, time.Minute, "closed")) }
		must(r.CloseFences(ctx, time.Minute, "t", "closed"))
		if got := nonceOf("closed"); !strings.HasPrefix(got, "!") {
			t.Errorf("a fence that was closed holds %q", got)
		}

		hook.by = func() { must(r.CloseFences(ctx, time.Minute, "second", "both")) }
		must(r.CloseFences(ctx, time.Minute, "first", "both"))
		must(r.ReopenFences(ctx, time.Minute, "second", "both"))
		if got := nonceOf("both"); !strings.HasPrefix(got, "!") {
			t.Errorf("a fence that was closed twice and reopened once holds %q", got)
		}

		hook.by = func() { must(r.DelFenced(ctx, time.Minute, "closed")) }
		must(r.ReopenFences(ctx, time.Minute, "t", "closed"))
		if got := nonceOf("closed"); strings.HasPrefix(got, "!") {
			t.Errorf("a fence that was reopened holds %q", got)
		}

		first, second := item("set", ""), item("set", "")
		first.Renew, second.Renew = true, true
		first.Data, second.Data = []byte("first"), []byte("second")
		hook.by = func() { set(second) }
		set(first)
		if got, err := s.Client.Get(ctx, "set").Result(); got == "" || err != nil {
			t.Errorf("of two Sets, there is %q, %v", got, err)
		}
	})
}
