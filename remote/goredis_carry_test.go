package remote_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// carriedNews is a message that was published by a change.
type carriedNews struct {
	Keys  []string
	Token string
}

// listen returns the messages that arrive on channel.
func listen(t *testing.T, s redistest.Server, channel string) <-chan carriedNews {
	t.Helper()
	pubsub := s.Client.Subscribe(ctx, channel)
	t.Cleanup(func() { _ = pubsub.Close() })
	if _, err := pubsub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	heard := make(chan carriedNews, 100)
	go func() {
		for m := range pubsub.Channel() {
			var n carriedNews
			if err := json.Unmarshal([]byte(m.Payload), &n); err != nil {
				n.Token = err.Error()
			}
			heard <- n
		}
	}()
	return heard
}

func announcement(channel string) *remote.Announcement {
	return &remote.Announcement{Channel: channel, Message: []byte(`{"Keys":["k"]}`)}
}

func TestAChangeCarriesAnAnnouncement(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		r := remote.NewGoRedis(s.Client).(*remote.GoRedisV9Adapter)
		channel := t.Name()
		heard := listen(t, s, channel)
		before, err := r.Tokens(ctx, channel)
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range fencedChanges {
			for range 2 { // the second time, the server knows the script
				news := announcement(channel)
				if err := change(remote.WithAnnouncement(ctx, news), r, "k"); err != nil || !news.Sent || news.Err != nil {
					t.Fatalf("%s: %v; sent: %t, %v", name, err, news.Sent, news.Err)
				}
				tokens, err := r.Tokens(ctx, channel)
				if err != nil || tokens[0] == before[0] {
					t.Fatalf("%s: the token is %q, before it was %q, %v", name, tokens, before, err)
				}
				before = tokens
				if got := <-heard; got.Token != tokens[0] || !slices.Equal(got.Keys, []string{"k"}) {
					t.Errorf("%s: the message is %+v, want the token %q", name, got, tokens[0])
				}
			}
		}
		// What is refused is not announced.
		refused := remote.FencedItem{Item: remote.Item{Key: "refused", Data: []byte("v")}, IfPresent: true, Renew: true}
		for _, item := range []remote.FencedItem{refused, item("refused", "no nonce")} {
			news := announcement(channel)
			outcomes, err := r.SetFenced(remote.WithAnnouncement(ctx, news), time.Minute, item)
			if err != nil || outcomes[0] == remote.FenceStored || news.Sent || news.Err != nil {
				t.Errorf("a refused item: %v, %v; sent: %t, %v", outcomes, err, news.Sent, news.Err)
			}
		}
		if tokens, err := r.Tokens(ctx, channel); err != nil || tokens[0] != before[0] {
			t.Errorf("after refused items, the token is %q, before it was %q, %v", tokens, before, err)
		}
		// Loads carry nothing.
		news := announcement(channel)
		if _, err := r.OpenFences(remote.WithAnnouncement(ctx, news), time.Minute, "k"); err != nil || news.Sent {
			t.Errorf("OpenFences: %v, sent: %t", err, news.Sent)
		}
	})
}

func item(key, nonce string) remote.FencedItem {
	return remote.FencedItem{Item: remote.Item{Key: key, Data: []byte("v"), Expire: time.Minute}, Nonce: nonce}
}

// A batch of up to 500 keys carries its announcement in its last script. A larger one does not.
func TestABatchCarriesAnAnnouncement(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		r := remote.NewGoRedis(s.Client).(*remote.GoRedisV9Adapter)
		heard := listen(t, s, t.Name())
		if err := s.Client.LPush(ctx, "{bad}#f", "x").Err(); err != nil {
			t.Fatal(err)
		}
		for n, carried := range map[int]bool{1: true, 100: true, 101: true, 500: true, 501: false} {
			keys := numbered(n)
			news := announcement(t.Name())
			if err := r.DelFenced(remote.WithAnnouncement(ctx, news), time.Minute, append(keys[1:], "bad")...); !slices.Equal(failed(err), []string{"bad"}) {
				t.Fatalf("%d keys: %v", n, err)
			}
			if news.Sent != carried || news.Err != nil {
				t.Errorf("%d keys: sent: %t, %v", n, news.Sent, news.Err)
			}
			if carried {
				if got := <-heard; got.Token == "" {
					t.Errorf("%d keys: the message is %+v", n, got)
				}
			}
		}
	})
}

// The server takes the change, and refuses to publish.
func TestAnAnnouncementThatIsForbidden(t *testing.T) {
	r := asUser(t, "~*", "resetchannels")
	news := announcement("forbidden")
	err := r.DelFenced(remote.WithAnnouncement(ctx, news), time.Minute, "k")
	if err != nil || news.Sent || !errors.Is(news.Err, remote.ErrUnsupported) || !strings.Contains(fmt.Sprint(news.Err), "ACL SETUSER") {
		t.Errorf("%v; sent: %t, %v", err, news.Sent, news.Err)
	}
}

// A forbidden key makes the call of many keys one call for each. Then the announcement is left to the
// caller.
func TestAnAnnouncementOfABatchThatIsSplit(t *testing.T) {
	r := asUser(t, "~k*", "~{k*", "~{split}#seq", "&*")
	many := make([]string, 149)
	for i := range many {
		many[i] = fmt.Sprint("k", i)
	}
	// Of the two calls of many keys, the last one is not refused.
	for _, keys := range [][]string{{"k1", "k2"}, append([]string{"secret"}, many...)} {
		for range 2 { // the second time, the server knows the script
			news := announcement("split")
			err := r.DelFenced(remote.WithAnnouncement(ctx, news), time.Minute, append(keys, "k999")...)
			if slices.Contains(keys, "secret") && !slices.Equal(failed(err), []string{"secret"}) {
				t.Errorf("%d keys: %v", len(keys), err)
			}
			if news.Sent != (len(keys) == 2) {
				t.Errorf("%d keys: sent: %t, %v", len(keys), news.Sent, news.Err)
			}
		}
	}
}

// A plain client may speak to a node of a cluster. There a call may name keys of one slot only.
func TestAnnouncementsOnANodeOfACluster(t *testing.T) {
	s := redistest.NewProcess(t, "--cluster-enabled", "yes")
	client := s.Client()
	if err := client.Do(ctx, "cluster", "addslotsrange", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventuallyUp := time.Now().Add(10 * time.Second)
	for client.Set(ctx, "up", "1", 0).Err() != nil && time.Now().Before(eventuallyUp) {
		time.Sleep(10 * time.Millisecond)
	}
	r := remote.NewGoRedis(client).(*remote.GoRedisV9Adapter)
	for range 2 {
		if tokens, err := r.Tokens(ctx, "one", "two"); err != nil || len(tokens) != 2 || tokens[0] == "" || tokens[1] == "" {
			t.Fatalf("the tokens are %q, %v", tokens, err)
		}
	}
	r = remote.NewGoRedis(client).(*remote.GoRedisV9Adapter)
	for _, carries := range []bool{true, false} {
		if r.Carries("one") != carries {
			t.Errorf("it should be %t that changes carry messages", carries)
		}
		news := announcement("one")
		if err := r.DelFenced(remote.WithAnnouncement(ctx, news), time.Minute, "k"); err != nil || news.Sent {
			t.Errorf("%v; sent: %t, %v", err, news.Sent, news.Err)
		}
	}
}

// A user who may not touch the token can still change keys.
func TestAnAnnouncementWhoseTokenIsForbidden(t *testing.T) {
	r := asUser(t, "~k*", "~{k*", "&*")
	for _, keys := range [][]string{{"k1"}, {"k1", "k2"}} {
		news := announcement("forbidden token")
		if err := r.DelFenced(remote.WithAnnouncement(ctx, news), time.Minute, keys...); err != nil || news.Sent {
			t.Errorf("%q: %v; sent: %t, %v", keys, err, news.Sent, news.Err)
		}
	}
}

// On a cluster, the keys and the channel are on different nodes.
func TestClustersCarryNoAnnouncement(t *testing.T) {
	r := remote.NewGoRedis(redistest.NewCluster(t).Client()).(*remote.GoRedisV9Adapter)
	news := announcement("c")
	if err := r.DelFenced(remote.WithAnnouncement(ctx, news), time.Minute, "k"); err != nil || news.Sent || news.Err != nil {
		t.Errorf("%v; sent: %t, %v", err, news.Sent, news.Err)
	}
}
