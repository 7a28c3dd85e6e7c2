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

// A batch that is larger than a pipeline is sent in parts, and no key is lost.
func TestLargeBatchesAreSentInParts(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		var trips roundTrips
		s.Client.AddHook(&trips)
		r := remote.NewGoRedisV9Adapter(s.Client).(*remote.GoRedisV9Adapter)
		const n = 2345
		values := make(map[string]any)
		keys := make([]string, n)
		items := make([]remote.Item, n)
		for i := range keys {
			keys[i] = fmt.Sprint("k", i)
			values[keys[i]] = keys[i]
			items[i] = remote.Item{Key: keys[i], Data: []byte(keys[i]), Expire: time.Minute}
		}
		check := func(what string, got map[string]string, err error) {
			t.Helper()
			if err != nil || len(got) != n {
				t.Errorf("%s: %d keys, %v", what, len(got), err)
			}
			for k, v := range got {
				if k != v {
					t.Errorf("%s: %q is %q", what, k, v)
				}
			}
			if p := trips.pipelines.Swap(0); p != 5 {
				t.Errorf("%s took %d pipelines, want 5 of 500 keys", what, p)
			}
		}
		read := func() (map[string]string, error) {
			got, err := r.MGet(ctx, keys...)
			texts := make(map[string]string)
			for k, v := range got {
				texts[k] = v.(string)
			}
			return texts, err
		}
		err := r.MSet(ctx, values, time.Minute)
		check("MSet", same(keys), err)
		got, err := read()
		check("MGet", got, err)
		err = r.MSetItems(ctx, items...)
		check("MSetItems", same(keys), err)
		withTTL, err := r.MGetWithTTL(ctx, keys...)
		texts := make(map[string]string)
		for k, v := range withTTL {
			if v.TTL <= 0 {
				t.Errorf("%q has %s left", k, v.TTL)
			}
			texts[k] = v.Data
		}
		check("MGetWithTTL", texts, err)
		err = r.MDel(ctx, keys...)
		check("MDel", same(keys), err)
		if got, err := read(); len(got) != 0 || err != nil {
			t.Errorf("after MDel, %d keys are there, %v", len(got), err)
		}
	})
}

func same(keys []string) map[string]string {
	m := make(map[string]string)
	for _, k := range keys {
		m[k] = k
	}
	return m
}

// A node of a cluster refuses an MGET of keys in several slots. Then the keys are read one by one.
func TestMGetThatIsRefused(t *testing.T) {
	s := redistest.Embedded(t)
	s.Client.AddHook(refusing{})
	r := remote.NewGoRedisV9Adapter(s.Client).(*remote.GoRedisV9Adapter)
	if err := r.MSet(ctx, map[string]any{"a": "1", "b": "2"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	got, err := r.MGetWithTTL(ctx, "a", "absent", "b")
	if err != nil || len(got) != 2 || got["a"].Data != "1" || got["b"].TTL != time.Minute {
		t.Errorf("MGetWithTTL: %v, %v", got, err)
	}
}

// refusing refuses MGET as a node of a cluster does.
type refusing struct{}

type crossSlot struct{}

// panicking panics when a pipeline of a batch is sent.
type panicking struct{}

// A panic in a part of a batch reaches the caller, as the panic in a small batch does.
func TestAPanicInAPartReachesTheCaller(t *testing.T) {
	s := redistest.Embedded(t)
	s.Client.AddHook(panicking{})
	r := remote.NewGoRedis(s.Client)
	values := make(map[string]any)
	for i := range 1200 {
		values[fmt.Sprint("k", i)] = "v"
	}
	defer func() {
		if p := recover(); p != "boom" {
			t.Errorf("panicked with %v", p)
		}
	}()
	_ = r.MSet(ctx, values, time.Minute)
}

func TestOneBadKeyDoesNotSpoilABatch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		r := remote.NewGoRedisV9Adapter(s.Client).(*remote.GoRedisV9Adapter)
		if err := s.Client.LPush(ctx, "list", "x").Err(); err != nil {
			t.Fatal(err)
		}
		if err := r.MSet(ctx, map[string]any{"a": "1", "b": "2"}, time.Minute); err != nil {
			t.Fatal(err)
		}
		got, err := r.MGet(ctx, "a", "list", "absent", "b")
		if len(got) != 2 || got["a"] != "1" || got["b"] != "2" {
			t.Errorf("MGet returned %v", got)
		}
		if err == nil || !strings.Contains(err.Error(), `"list"`) || !strings.Contains(err.Error(), "WRONGTYPE") {
			t.Errorf("MGet's error is %v, want it to name the key and the reason", err)
		}
		withTTL, err := r.MGetWithTTL(ctx, "a", "list", "absent", "b")
		if len(withTTL) != 2 || err == nil {
			t.Errorf("MGetWithTTL returned %v, %v", withTTL, err)
		}
	})
}

func TestABrokenConnectionIsReportedOnce(t *testing.T) {
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	r := remote.NewGoRedisV9Adapter(client).(*remote.GoRedisV9Adapter)
	m.Close()
	keys := make([]string, 50)
	values := make(map[string]any)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
		values[keys[i]] = "v"
	}
	_, err := r.MGet(ctx, keys...)
	_, ttlErr := r.MGetWithTTL(ctx, keys...)
	for _, err := range []error{err, ttlErr, r.MSet(ctx, values, time.Minute)} {
		if err == nil || errors.Is(err, redis.Nil) || strings.Count(err.Error(), "refused") != 1 || !strings.Contains(err.Error(), "50 keys") {
			t.Errorf("the error is %v, want one reason for all 50 keys", err)
		}
	}
	if got, err := r.MGet(ctx, keys...); len(got) != 0 {
		t.Errorf("MGet without a connection returned %v, %v", got, err)
	}
	if _, err := r.GetWithTTL(ctx, "k"); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("GetWithTTL: %v", err)
	}
}

// If a node of a Ring is down, its keys must not look like keys with empty values.
func TestARingWithANodeDown(t *testing.T) {
	one, two := miniredis.RunT(t), miniredis.RunT(t)
	ring := redis.NewRing(&redis.RingOptions{
		Addrs:              map[string]string{"one": one.Addr(), "two": two.Addr()},
		HeartbeatFrequency: time.Hour, // it must not notice by itself
		MaxRetries:         -1,
	})
	t.Cleanup(func() { _ = ring.Close() })
	r := remote.NewGoRedisV9Adapter(ring).(*remote.GoRedisV9Adapter)
	keys := make([]string, 40)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
		if err := r.SetEX(ctx, keys[i], "v", time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	two.Close()
	got, err := r.MGet(ctx, keys...)
	withTTL, ttlErr := r.MGetWithTTL(ctx, keys...)
	if err == nil || ttlErr == nil || len(got) != len(withTTL) || len(got) == 0 || len(got) == len(keys) {
		t.Errorf("read %d and %d of %d keys, %v, %v", len(got), len(withTTL), len(keys), err, ttlErr)
	}
	for k, v := range got {
		if v != "v" || withTTL[k].Data != "v" {
			t.Errorf("%q is %q and %q", k, v, withTTL[k].Data)
		}
	}
}
