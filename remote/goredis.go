package remote

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// GoRedisV9Adapter is a Remote on go-redis v9. It works with every client of that
// package (single node, Sentinel, Ring, Cluster): batches are pipelines, in parts of 500
// keys of which up to four are under way at a time, of commands that the client spreads over
// the nodes by itself. Lifetimes are exact to the millisecond; one below a millisecond is a
// millisecond.
//
// It has all the optional abilities of this package.
type GoRedisV9Adapter struct {
	client redis.Cmdable
	single bool                 // client speaks to one node, which can be asked for many keys at once
	auto   *redis.AutoPipeliner // nil: each call is a round trip of its own

	plainPublish bool          // WithPlainPublish
	unsharded    atomic.Bool   // a server has no SPUBLISH
	pings        time.Duration // the interval of pings on connections that listen
}

var (
	_ Remote         = (*GoRedisV9Adapter)(nil)
	_ TTLGetter      = (*GoRedisV9Adapter)(nil)
	_ ItemSetter     = (*GoRedisV9Adapter)(nil)
	_ KeysDeleter    = (*GoRedisV9Adapter)(nil)
	_ CompareDeleter = (*GoRedisV9Adapter)(nil)
	_ Bus            = (*GoRedisV9Adapter)(nil)
	_ Tracker        = (*GoRedisV9Adapter)(nil)
)

// NewGoRedisV9Adapter returns a Remote that sends its commands to client, which stays
// the caller's to close. It panics if client is nil.
func NewGoRedisV9Adapter(client redis.Cmdable) Remote {
	return newGoRedis("NewGoRedisV9Adapter", client, nil)
}

// NewGoRedis is NewGoRedisV9Adapter with options. It panics also if an option cannot be met.
func NewGoRedis(client redis.Cmdable, opts ...GoRedisOption) Remote {
	return newGoRedis("NewGoRedis", client, opts)
}

func newGoRedis(constructor string, client redis.Cmdable, opts []GoRedisOption) Remote {
	if client == nil {
		panic(fmt.Sprintf("remote: %s: the client is nil; give a redis.Client, ClusterClient or Ring", constructor))
	}
	var o goRedisOptions
	for i, opt := range opts {
		if opt == nil {
			panic(fmt.Sprintf("remote: %s: option %d is nil; leave it out", constructor, i+1))
		}
		opt(&o)
	}
	r := &GoRedisV9Adapter{client: client, plainPublish: o.plainPublish, pings: pingInterval}
	switch client.(type) {
	case *redis.Client, *redis.Conn:
		r.single = true
	}
	if o.autoPipeline {
		r.auto = autoPipeliner(client)
	}
	if o.withoutTTL {
		return untimed{r, r, r, r, r, r, r, r}
	}
	return r
}

// GoRedisOption configures NewGoRedis.
type GoRedisOption func(*goRedisOptions)

type goRedisOptions struct{ autoPipeline, withoutTTL, plainPublish bool }

// WithoutTTL makes reads not ask for what remains of a key's lifetime, which is a command
// more for each key: batches get faster by a little (the benchmark MGetRemote shows how much),
// and the server is relieved. Default: reads do ask. With this option, a local copy of what
// was read may outlive the value in Redis: it is kept for the remote expiry of the cache, or
// the lifetime of the local store's entries, whichever is shorter.
func WithoutTTL() GoRedisOption { return func(o *goRedisOptions) { o.withoutTTL = true } }

// untimed is an adapter without TTLGetter.
type untimed struct {
	Remote
	ItemSetter
	KeysDeleter
	CompareDeleter
	Bus
	Fencer
	Leaser
	Tracker
}

// SetEX stores value under key for expire.
func (r *GoRedisV9Adapter) SetEX(ctx context.Context, key string, value any, expire time.Duration) error {
	expire, err := lifetime(key, expire)
	if err != nil {
		return err
	}
	return r.client.Set(ctx, key, value, expire).Err()
}

// SetNX stores value under key for expire if key is absent.
func (r *GoRedisV9Adapter) SetNX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	expire, err := lifetime(key, expire)
	if err != nil {
		return false, err
	}
	return r.client.SetNX(ctx, key, value, expire).Result()
}

// SetXX stores value under key for expire if key is present.
func (r *GoRedisV9Adapter) SetXX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	expire, err := lifetime(key, expire)
	if err != nil {
		return false, err
	}
	return r.client.SetXX(ctx, key, value, expire).Result()
}

// Get returns the value of key, redis.Nil if there is none.
func (r *GoRedisV9Adapter) Get(ctx context.Context, key string) (string, error) {
	if r.auto != nil {
		get := redis.NewStringCmd(ctx, "get", key)
		if sent, err := r.share(ctx, get); err != nil {
			return "", err
		} else if sent {
			return get.Result()
		}
	}
	return r.client.Get(ctx, key).Result()
}

func pttl(ctx context.Context, key string) *redis.DurationCmd {
	return redis.NewDurationCmd(ctx, time.Millisecond, "pttl", key)
}

// between returns a value with the shorter of two lifetimes.
func between(before *redis.DurationCmd, get *redis.StringCmd, after *redis.DurationCmd) (Value, error) {
	for _, cmd := range []redis.Cmder{get, before, after} {
		if err := cmd.Err(); err != nil {
			return Value{}, err
		}
	}
	v, w := timed(get.Val(), before.Val()), timed(get.Val(), after.Val())
	if v.TTL == 0 || w.TTL > 0 && w.TTL < v.TTL {
		return w, nil
	}
	return v, nil
}

// GetWithTTL returns the value of key and what remains of its lifetime, redis.Nil if
// there is none.
func (r *GoRedisV9Adapter) GetWithTTL(ctx context.Context, key string) (Value, error) {
	if r.auto != nil {
		// A write may come between the pipelines in which these are sent. Of two lifetimes, one
		// before the value and one after it, the shorter is right whichever value it was.
		before, get, after := pttl(ctx, key), redis.NewStringCmd(ctx, "get", key), pttl(ctx, key)
		if sent, err := r.share(ctx, before, get, after); err != nil {
			return Value{}, err
		} else if sent {
			return between(before, get, after)
		}
	}
	var p pair
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		p = queuePair(ctx, pipe, key)
		return nil
	})
	return p.value(err)
}

// Del removes key.
func (r *GoRedisV9Adapter) Del(ctx context.Context, key string) (int64, error) {
	return r.client.Del(ctx, key).Result()
}

// compareAndDelete removes KEYS[1] if its value is ARGV[1].
var compareAndDelete = redis.NewScript(`
if redis.call("get", KEYS[1]) == ARGV[1] then
	return redis.call("del", KEYS[1])
end
return 0`)

// CompareAndDelete removes key if its value is value, by a script.
func (r *GoRedisV9Adapter) CompareAndDelete(ctx context.Context, key, value string) (bool, error) {
	n, err := compareAndDelete.Run(ctx, r.client, []string{key}, value).Int64()
	return n > 0, err
}

// Nil returns redis.Nil.
func (r *GoRedisV9Adapter) Nil() error { return redis.Nil }

// pair is a read of a key's remaining lifetime and, right behind it, of its value. In
// this order, a write between the two can only make the lifetime too short.
type pair struct {
	pttl *redis.DurationCmd
	get  *redis.StringCmd
}

func queuePair(ctx context.Context, pipe redis.Pipeliner, key string) pair {
	return pair{pttl: unsent(pipe.PTTL(ctx, key)), get: unsent(pipe.Get(ctx, key))}
}

// What PTTL answers for a key that does not expire, and for one that is not there.
// https://redis.io/docs/latest/commands/pttl/
const (
	pttlNoExpiry = -1
	pttlAbsent   = -2
)

// value returns what was read; pipeline is the error of the pipeline as a whole.
func (p pair) value(pipeline error) (Value, error) {
	if err := outcome(p.get, pipeline); err != nil {
		return Value{}, err
	}
	if err := outcome(p.pttl, pipeline); err != nil {
		return Value{}, err
	}
	return timed(p.get.Val(), p.pttl.Val()), nil
}

// timed returns a value with what PTTL answered before it was read.
func timed(data string, ttl time.Duration) Value {
	switch {
	case ttl == pttlNoExpiry:
		return Value{Data: data}
	case ttl <= 0: // absent or in its last millisecond, then written anew: ask again soon
		return Value{Data: data, TTL: time.Millisecond}
	}
	return Value{Data: data, TTL: ttl}
}
