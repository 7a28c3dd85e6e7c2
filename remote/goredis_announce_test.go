package remote_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func sequencer(client redis.Cmdable, opts ...remote.GoRedisOption) remote.Sequencer {
	return remote.NewGoRedis(client, opts...).(remote.Sequencer)
}

// tokenOf returns the token of channel, by its number and nonce.
func tokenOf(t *testing.T, s remote.Sequencer, channel string) (number int64, nonce string) {
	t.Helper()
	tokens, err := s.Tokens(ctx, channel)
	if err != nil || len(tokens) != 1 {
		t.Fatalf("Tokens: %q, %v", tokens, err)
	}
	if _, err := fmt.Sscanf(tokens[0], "%d.%s", &number, &nonce); err != nil {
		t.Fatalf("the token %q: %v", tokens[0], err)
	}
	return number, nonce
}

func TestATokenIsAKeyBesideTheChannel(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		q := sequencer(s.Client)
		for channel, key := range map[string]string{"news": "{news}#seq", "a{b}c": "a{b}c#seq"} {
			number, nonce := tokenOf(t, q, channel)
			if want := fmt.Sprintf("%d.%s", number, nonce); s.Client.Get(ctx, key).Val() != want || number < 1e13 || number >= 1e14 || len(nonce) != 16 {
				t.Errorf("the token is %s, and %s holds %q", want, key, s.Client.Get(ctx, key).Val())
			}
			if err := q.PublishNext(ctx, channel, []byte(`{"A":1}`), []byte(`{"A":2}`)); err != nil {
				t.Fatal(err)
			}
			if after, same := tokenOf(t, q, channel); after != number+2 || same != nonce {
				t.Errorf("after two messages, %d.%s is %d.%s", number, nonce, after, same)
			}
			if ttl := s.Client.TTL(ctx, key).Val(); ttl < 29*24*time.Hour {
				t.Errorf("the token lives for %s", ttl)
			}
			// A token that was lost begins with another nonce, even after the same call.
			s.Client.Del(ctx, key)
			if _, other := tokenOf(t, q, channel); other == nonce {
				t.Errorf("the nonce %q came back", nonce)
			}
			// So does one that is too large for Lua.
			s.Client.Set(ctx, key, "99999999999999."+nonce, 0)
			if err := q.PublishNext(ctx, channel, []byte(`{"A":1}`)); err != nil {
				t.Fatal(err)
			}
			if number, other := tokenOf(t, q, channel); other == nonce || number >= 1e14 {
				t.Errorf("after the largest number came %d.%s", number, other)
			}
			s.Client.Del(ctx, key)
		}
	})
}

func TestAChannelThatCanHaveNoToken(t *testing.T) {
	r := remote.NewGoRedisV9Adapter(redistest.Embedded(t).Client)
	_, err := r.(remote.Sequencer).Tokens(ctx, "a}")
	for _, err := range []error{err, r.(remote.Sequencer).PublishNext(ctx, "a}", []byte(`{"A":1}`))} {
		if !errors.Is(err, remote.ErrUnsupported) || !errors.Is(err, remote.ErrNoSibling) {
			t.Errorf("the error is %v", err)
		}
	}
	if r.(remote.Carrier).Carries("a}") || !r.(remote.Carrier).Carries("a") {
		t.Error("Carries is wrong")
	}
}

func TestTokensWithAPipeline(t *testing.T) {
	q := sequencer(redistest.Embedded(t).Client.Pipeline())
	if _, err := q.Tokens(ctx, "a"); !errors.Is(err, remote.ErrUnsupported) {
		t.Errorf("Tokens: %v", err)
	}
	if err := q.PublishNext(ctx, "a"); !errors.Is(err, remote.ErrUnsupported) {
		t.Errorf("PublishNext: %v", err)
	}
}

func TestTokensAreNotAllowed(t *testing.T) {
	s := own(t)
	for name, rules := range map[string][]string{
		"scripts": {"~*", "+@all", "&*", "-eval", "-evalsha"},
		"publish": {"~*", "+@all", "&*", "-publish"},
		"channel": {"~*", "+@all", "resetchannels", "&other"},
		"key":     {"~other", "+@all", "&*"},
		"reading": {"~*", "+@all", "&*", "-get"},
	} {
		t.Run(name, func(t *testing.T) {
			q := sequencer(aclUser(t, s, rules...))
			err := q.PublishNext(ctx, "news", []byte(`{"A":1}`))
			if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), "&news") {
				t.Errorf("PublishNext: %v", err)
			}
			if name == "publish" || name == "channel" {
				before, _ := tokenOf(t, sequencer(s.Client), "news")
				_ = q.PublishNext(ctx, "news", []byte(`{"A":1}`))
				if after, _ := tokenOf(t, sequencer(s.Client), "news"); after != before {
					t.Errorf("the token went from %d to %d, but nothing was published", before, after)
				}
			} else if _, err := q.Tokens(ctx, "news"); !errors.Is(err, remote.ErrUnsupported) {
				t.Errorf("Tokens: %v", err)
			}
		})
	}
}

func TestAServerThatIsOutOfMemoryPublishes(t *testing.T) {
	s := own(t)
	q := sequencer(s.Client)
	sub := subscribe(t, q, "news").waitReady()
	before, _ := tokenOf(t, q, "news")
	for _, set := range [][2]string{{"maxmemory-policy", "noeviction"}, {"maxmemory", "1"}} {
		if err := s.Client.ConfigSet(ctx, set[0], set[1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Client.Set(ctx, "k", "v", 0).Err(); err == nil {
		t.Fatal("the server has memory")
	}
	if err := q.PublishNext(ctx, "news", []byte(`{"A":1}`)); err != nil {
		t.Fatal(err)
	}
	sub.received(1)
	if after, _ := tokenOf(t, q, "news"); after != before+1 {
		t.Errorf("the number went from %d to %d", before, after)
	}
}

// What makes a script fail is not taken for a refusal, which would be for good.
func TestAReplicaRefusesTokens(t *testing.T) {
	s := own(t)
	addr := optionsOf(redistest.NewProcess(t).Client()).Addr
	host, port, _ := strings.Cut(addr, ":")
	if err := s.Client.ReplicaOf(ctx, host, port).Err(); err != nil {
		t.Fatal(err)
	}
	err := sequencer(s.Client).PublishNext(ctx, "news", []byte(`{"A":1}`))
	if err == nil || errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), "READONLY") && !strings.Contains(err.Error(), "read only") {
		t.Errorf("PublishNext: %v", err)
	}
}

func TestATokenOfAnotherType(t *testing.T) {
	s := own(t)
	s.Client.LPush(ctx, "{news}#seq", "x")
	_, err := sequencer(s.Client).Tokens(ctx, "news")
	for _, err := range []error{err, sequencer(s.Client).PublishNext(ctx, "news", []byte(`{"A":1}`))} {
		if err == nil || errors.Is(err, remote.ErrUnsupported) {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestGroups(t *testing.T) {
	client, other := redistest.Embedded(t).Client, redistest.Embedded(t).Client
	if one, two := sequencer(client).Group("a"), sequencer(client).Group("b"); one != two {
		t.Error("two adapters of a client, and two channels, are of two groups")
	}
	if sequencer(client).Group("a") == sequencer(other).Group("a") {
		t.Error("two clients are of one group")
	}
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": miniredis.RunT(t).Addr()}})
	t.Cleanup(func() { _ = ring.Close() })
	q := sequencer(ring)
	if q.Group("a") == q.Group("b") || q.Group("{a}b") != q.Group("{a}c") || q.(remote.Carrier).Carries("a") {
		t.Error("the groups of a Ring are not the hash tags, or it carries announcements")
	}
}

func TestTokensOnARing(t *testing.T) {
	one, two := miniredis.RunT(t), miniredis.RunT(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": one.Addr(), "two": two.Addr()}})
	t.Cleanup(func() { _ = ring.Close() })
	q := sequencer(ring)
	var channels []string
	for i := range 10 {
		channels = append(channels, fmt.Sprint("channel", i))
	}
	before, err := q.Tokens(ctx, channels...)
	if err != nil {
		t.Fatal(err)
	}
	for i, channel := range channels {
		sub := subscribe(t, q, channel).waitReady()
		if err := q.PublishNext(ctx, channel, []byte(`{"A":1}`)); err != nil {
			t.Fatal(err)
		}
		sub.received(1)
		if counts, err := q.(remote.FollowerCounter).Followers(ctx, channel); err != nil || counts[0] != 1 {
			t.Errorf("Followers: %d, %v", counts, err)
		}
		after, err := q.Tokens(ctx, channels...)
		if err != nil || after[i] == before[i] {
			t.Errorf("the token of %s was %s and is %s, %v", channel, before[i], after[i], err)
		}
	}
	if len(one.Keys()) == 0 || len(two.Keys()) == 0 {
		t.Error("all tokens are on one shard")
	}
}
