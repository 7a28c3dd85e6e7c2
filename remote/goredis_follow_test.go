package remote_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// follow calls Follow for channels. The call ends with the test.
func follow(t *testing.T, r any, channels ...string) (sub remote.Subscription, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	subs, end, done := make(chan remote.Subscription, 1), make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		end <- r.(remote.Sequencer).Follow(ctx, channels, func(sub remote.Subscription) { subs <- sub }, func(string, []byte) {})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	select {
	case sub = <-subs:
	case err := <-end:
		end <- err
	case <-time.After(patience):
		t.Fatal("Follow does not become ready")
	}
	return sub, end
}

func TestAFollowerSendsNoPingsByItself(t *testing.T) {
	s := own(t)
	r := remote.NewGoRedisV9Adapter(s.Client)
	remote.SetPings(r, 20*time.Millisecond)
	sub, _ := follow(t, r, "news")
	pings := func() string {
		_, after, _ := strings.Cut(s.Client.Info(ctx, "commandstats").Val(), "cmdstat_ping:calls=")
		n, _, _ := strings.Cut(after, ",")
		return n
	}
	before := pings()
	time.Sleep(200 * time.Millisecond)
	if after := pings(); after != before {
		t.Errorf("the number of pings went from %q to %q", before, after)
	}
	if err := sub.Sync(ctx); err != nil {
		t.Error(err)
	}
	if after := pings(); after == before {
		t.Error("Sync sent no ping")
	}
}

func TestAPingThatIsRefusedIsAReplyToSync(t *testing.T) {
	r := remote.NewGoRedisV9Adapter(aclUser(t, own(t), "~*", "+@all", "&*", "-ping"))
	sub, _ := follow(t, r, "news")
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range 3 {
		if err := sub.Sync(bounded); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAChannelThatIsRefusedLaterEndsTheSubscription(t *testing.T) {
	r := remote.NewGoRedisV9Adapter(aclUser(t, own(t), "~*", "+@all", "resetchannels", "&news"))
	sub, ended := follow(t, r, "news")
	if err := sub.Add(ctx, "other"); err == nil {
		t.Error("Add returned no error")
	}
	if err := <-ended; !errors.Is(err, remote.ErrUnsupported) {
		t.Errorf("Follow ended with %v", err)
	}
	if err := sub.Sync(ctx); err == nil {
		t.Error("Sync returned no error")
	}
}

func TestSyncOverAConnectionThatIsSilent(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		client, proxy := proxied(t, s.Client)
		sub, ended := follow(t, remote.NewGoRedisV9Adapter(client), "news")
		proxy.BlackHole(faultproxy.Both)
		bounded, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if err := sub.Sync(bounded); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sync: %v", err)
		}
		proxy.Cut()
		if err := <-ended; err == nil {
			t.Error("Follow ended without an error")
		}
	})
}

func TestFollowNoticesAServerThatDoesNotConfirm(t *testing.T) {
	client, proxy := proxied(t, own(t).Client)
	r := remote.NewGoRedisV9Adapter(client)
	remote.SetPings(r, 50*time.Millisecond)
	proxy.Decide(func(request []byte) faultproxy.Fate {
		if strings.Contains(string(request), "subscribe") {
			proxy.BlackHole(faultproxy.ToClient)
		}
		return faultproxy.Fate{}
	})
	_, ended := follow(t, r, "news")
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "no confirmation") {
		t.Errorf("Follow ended with %v", err)
	}
}

// ownPublish is an adapter with a Publish of its own; itself is one that says that its tokens may be used.
type (
	ownPublish struct{ *remote.GoRedisV9Adapter }
	itself     struct{ *remote.GoRedisV9Adapter }
)

func (ownPublish) Publish(context.Context, string, []byte) error { return nil }
func (i itself) SequencerOf() remote.Sequencer                   { return i }

func TestABusThatEmbedsASequencer(t *testing.T) {
	r := remote.NewGoRedisV9Adapter(redistest.Embedded(t).Client).(*remote.GoRedisV9Adapter)
	short := remote.NewGoRedis(redistest.Embedded(t).Client, remote.WithoutTTL()).(remote.Bus)
	for bus, want := range map[remote.Bus]bool{r: true, short: true, ownPublish{r}: false, itself{r}: true, struct{ remote.Bus }{r}: false} {
		if got := remote.AsSequencer(bus); (got != nil) != want || want && any(got) != any(bus) {
			t.Errorf("AsSequencer of a %T is a %T", bus, got)
		}
	}
}

func TestFollowOfNothing(t *testing.T) {
	client := redistest.Embedded(t).Client
	err := remote.NewGoRedisV9Adapter(client).(remote.Sequencer).Follow(ctx, nil, nil, nil)
	if err == nil {
		t.Error("Follow of nothing succeeded")
	}
}

// The confirmation of a channel is late, so the caller adds the channel again.
func TestAChannelCanBeAddedAgain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		client, proxy := proxied(t, s.Client)
		sub, ended := follow(t, remote.NewGoRedisV9Adapter(client), "news")
		proxy.BlackHole(faultproxy.ToClient)
		for range 2 {
			bounded, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			if err := sub.Add(bounded, "other", "more"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Add without a reply: %v", err)
			}
			cancel()
		}
		proxy.Heal()
		bounded, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		for range 2 {
			if err := errors.Join(sub.Add(bounded, "other", "news"), sub.Sync(bounded)); err != nil {
				t.Errorf("adding again: %v", err)
			}
		}
		if err := errors.Join(sub.Remove(bounded, "other"), sub.Remove(bounded, "other"), sub.Add(bounded, "other"), sub.Sync(bounded)); err != nil {
			t.Errorf("after removing twice: %v", err)
		}
		select {
		case err := <-ended:
			t.Errorf("the subscription has ended: %v", err)
		default:
		}
	})
}
