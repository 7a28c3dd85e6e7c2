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

func presence(client redis.Cmdable, opts ...remote.GoRedisOption) remote.Presence {
	return remote.NewGoRedis(client, opts...).(remote.Presence)
}

func joining(channel string, members ...string) remote.Attendance {
	return remote.Attendance{Channel: channel, Joining: members}
}

func TestTheMembersOfAChannelAreAKeyBesideIt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		for _, p := range []remote.Presence{presence(s.Client), presence(s.Client, remote.WithoutTTL())} {
			before := s.Client.Time(ctx).Val()
			if _, err := p.Attend(ctx, time.Minute, joining("news", "one", "two"), joining("a{b}c", "one")); err != nil {
				t.Fatal(err)
			}
			after := s.Client.Time(ctx).Val()
			for key, want := range map[string]int{"{news}#who": 2, "a{b}c#who": 1} {
				members := s.Client.ZRangeWithScores(ctx, key, 0, -1).Val()
				if len(members) != want || !remote.IsSideKey(key) {
					t.Errorf("%s has %v, want %d members", key, members, want)
				}
				for _, m := range members {
					until := time.UnixMilli(int64(m.Score))
					if until.Before(before.Add(time.Minute-time.Millisecond)) || until.After(after.Add(time.Minute)) {
						t.Errorf("from %s to %s, a member of %s became one until %s", before, after, key, until)
					}
				}
				if ttl := s.Client.TTL(ctx, key).Val(); ttl < 23*time.Hour || ttl > 24*time.Hour {
					t.Errorf("%s lives for %s", key, ttl)
				}
			}
			if err := errors.Join(p.Leave(ctx, "news", "one", "two"), p.Leave(ctx, "a{b}c", "one"), p.Leave(ctx, "news", "one"), p.Leave(ctx, "news")); err != nil {
				t.Fatal(err)
			}
			if n := s.Client.Exists(ctx, "{news}#who", "a{b}c#who").Val(); n != 0 {
				t.Errorf("all members have left, and %d keys are still there", n)
			}
			// A set lives as long as its members.
			if _, err := p.Attend(ctx, 100*time.Hour, joining("news", "one")); err != nil || s.Client.TTL(ctx, "{news}#who").Val() < 99*time.Hour {
				t.Errorf("the members live for %s, %v", s.Client.TTL(ctx, "{news}#who").Val(), err)
			}
			if err := p.Leave(ctx, "news", "one"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The server has lost the members, as when it evicts their key: those that stay say so.
func TestMembersThatTheServerHasLost(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		p, q := presence(s.Client), sequencer(s.Client)
		if _, err := p.Attend(ctx, time.Minute, joining("news", "one", "two")); err != nil {
			t.Fatal(err)
		}
		before, _ := tokenOf(t, q, "news")
		s.Client.Del(ctx, "{news}#who")
		for range 2 {
			if _, err := p.Attend(ctx, time.Minute, remote.Attendance{Channel: "news", Joining: []string{"three"}, Staying: []string{"two"}}); err != nil {
				t.Fatal(err)
			}
			if after, _ := tokenOf(t, q, "news"); after != before+1 {
				t.Errorf("the number was %d and is %d", before, after)
			}
		}
	})
}

func TestAttendIsOneRoundTrip(t *testing.T) {
	s := own(t)
	p := presence(s.Client)
	calls := []remote.Attendance{joining("a", "one"), joining("b", "one"), joining("c")}
	if _, err := p.Attend(ctx, time.Minute, calls...); err != nil { // the server learns the script
		t.Fatal(err)
	}
	s.Client.ConfigResetStat(ctx)
	if _, err := p.Attend(ctx, time.Minute, calls...); err != nil {
		t.Fatal(err)
	}
	stats := s.Client.Info(ctx, "commandstats").Val()
	if !strings.Contains(stats, "cmdstat_evalsha:calls=1,") || strings.Contains(stats, "cmdstat_eval:") {
		t.Errorf("the server was asked: %s", stats)
	}
}

// What Attend costs does not grow with the number of members, or only by its logarithm.
func TestManyMembersAreNoBurden(t *testing.T) {
	s := own(t)
	p := presence(s.Client)
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprint("member ", i)
	}
	if _, err := p.Attend(ctx, time.Hour, joining("news", many...)); err != nil {
		t.Fatal(err)
	}
	s.Client.ConfigResetStat(ctx)
	if _, err := p.Attend(ctx, time.Hour, remote.Attendance{Channel: "news", Staying: many[:1]}); err != nil {
		t.Fatal(err)
	}
	stats := s.Client.Info(ctx, "commandstats").Val()
	for _, want := range []string{"cmdstat_zadd:calls=1,", "cmdstat_zremrangebyscore:calls=1,", "cmdstat_pexpire:calls=1,"} {
		if !strings.Contains(stats, want) {
			t.Errorf("the server does not say %s: %s", want, stats)
		}
	}
}

func TestPresenceThatCannotBe(t *testing.T) {
	p := presence(redistest.Embedded(t).Client)
	if _, err := p.Attend(ctx, 0, joining("news", "one")); err == nil {
		t.Error("members are present for no time")
	}
	queued := presence(redistest.Embedded(t).Client.Pipeline())
	_, noToken := p.Attend(ctx, time.Minute, joining("a}", "one"))
	_, pipeline := queued.Attend(ctx, time.Minute, joining("news", "one"))
	for _, err := range []error{noToken, pipeline, p.Leave(ctx, "a}", "one"), queued.Leave(ctx, "news", "one")} {
		if !errors.Is(err, remote.ErrUnsupported) {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestPresenceIsNotAllowed(t *testing.T) {
	s := own(t)
	for name, rules := range map[string][]string{
		"scripts": {"~*", "+@all", "-eval", "-evalsha"},
		"members": {"~*", "+@all", "-zadd"},
		"key":     {"~{news}#seq", "+@all"},
	} {
		t.Run(name, func(t *testing.T) {
			p := presence(aclUser(t, s, rules...))
			_, err := p.Attend(ctx, time.Minute, joining("news", "one"))
			if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), "~{news}#seq ~{news}#who") || !strings.Contains(err.Error(), "+zadd") {
				t.Errorf("Attend: %v", err)
			}
		})
	}
	err := presence(aclUser(t, s, "~*", "+@all", "-zrem")).Leave(ctx, "news", "one")
	if !errors.Is(err, remote.ErrUnsupported) {
		t.Errorf("Leave: %v", err)
	}
	// These rights are all that it takes.
	few := presence(aclUser(t, s, "~{news}#seq", "~{news}#who", "+eval", "+evalsha", "+get", "+set", "+del", "+time", "+zadd", "+zrem", "+zremrangebyscore", "+pexpire"))
	if _, err := few.Attend(ctx, time.Minute, joining("news", "one")); err != nil {
		t.Errorf("Attend: %v", err)
	}
	if err := few.Leave(ctx, "news", "one"); err != nil {
		t.Errorf("Leave: %v", err)
	}
}

// A server without memory must not make the nodes deaf.
func TestMembersOfAServerThatIsOutOfMemory(t *testing.T) {
	s := own(t)
	p, q := presence(s.Client), sequencer(s.Client)
	before, _ := tokenOf(t, q, "news")
	for _, set := range [][2]string{{"maxmemory-policy", "noeviction"}, {"maxmemory", "1"}} {
		if err := s.Client.ConfigSet(ctx, set[0], set[1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Client.Set(ctx, "k", "v", 0).Err(); err == nil {
		t.Fatal("the server has memory")
	}
	for _, who := range []remote.Attendance{joining("news", "one"), {Channel: "news", Staying: []string{"one"}}, {Channel: "news", Staying: []string{"two"}}} {
		if _, err := p.Attend(ctx, time.Minute, who); err != nil {
			t.Fatal(err)
		}
	}
	if after, _ := tokenOf(t, q, "news"); after != before+1 {
		t.Errorf("the number went from %d to %d", before, after)
	}
}

func TestMembersOfAWrongType(t *testing.T) {
	s := own(t)
	s.Client.Set(ctx, "{news}#who", "x", 0)
	p := presence(s.Client)
	_, err := p.Attend(ctx, time.Minute, joining("news", "one"))
	for _, err := range []error{err, p.Leave(ctx, "news", "one")} {
		if err == nil || errors.Is(err, remote.ErrUnsupported) {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestPresenceOnARing(t *testing.T) {
	one, two := miniredis.RunT(t), miniredis.RunT(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": one.Addr(), "two": two.Addr()}})
	t.Cleanup(func() { _ = ring.Close() })
	var who []remote.Attendance
	var channels []string
	for i := range 10 {
		channels = append(channels, fmt.Sprint("channel", i))
		who = append(who, joining(channels[i], "one"))
	}
	tokens, err := presence(ring).Attend(ctx, time.Minute, who...)
	if err != nil {
		t.Fatal(err)
	}
	for i, channel := range channels {
		if want, err := sequencer(ring).Tokens(ctx, channel); err != nil || want[0] != tokens[i] {
			t.Errorf("the token of %s is %s, want %s, %v", channel, tokens[i], want, err)
		}
		if n := ring.ZCard(ctx, "{"+channel+"}#who").Val(); n != 1 {
			t.Errorf("%s has %d members", channel, n)
		}
	}
	if len(one.Keys()) == 0 || len(two.Keys()) == 0 {
		t.Error("all members are on one shard")
	}
}
