package remote

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// GoRedisV9Adapter is a Remote on go-redis v9. Make one with NewGoRedisV9Adapter or NewGoRedis. It
// works with every client of that package: single node, Sentinel, Ring and Cluster. A batch is sent
// in pipelines of up to 500 keys, up to four of them at a time; the client spreads their commands
// over the nodes. Lifetimes are rounded up to whole milliseconds.
//
// It has all the optional abilities of this package. Its methods may be called concurrently. It
// needs no Close: the caller closes the client.
type GoRedisV9Adapter struct {
	client redis.Cmdable
	single bool                 // client speaks to one node, which can be asked for many keys at once
	auto   *redis.AutoPipeliner // nil if each call is a round trip of its own
	fences *fenceWriter

	writeOnce    bool          // WithoutWriteRetries
	plainPublish bool          // WithPlainPublish
	unsharded    atomic.Bool   // a server does not have SPUBLISH
	scattered    atomic.Bool   // the one node is that of a cluster: a call may name keys of one slot only
	tokened      sync.Map      // channels that have, or had, a token
	pings        time.Duration // the interval of pings on the connections of listeners
}

var (
	_ Remote          = (*GoRedisV9Adapter)(nil)
	_ TTLGetter       = (*GoRedisV9Adapter)(nil)
	_ ItemSetter      = (*GoRedisV9Adapter)(nil)
	_ KeysDeleter     = (*GoRedisV9Adapter)(nil)
	_ CompareDeleter  = (*GoRedisV9Adapter)(nil)
	_ Bus             = (*GoRedisV9Adapter)(nil)
	_ Tracker         = (*GoRedisV9Adapter)(nil)
	_ Sequencer       = (*GoRedisV9Adapter)(nil)
	_ Carrier         = (*GoRedisV9Adapter)(nil)
	_ FollowerCounter = (*GoRedisV9Adapter)(nil)
	_ ContextHeeder   = (*GoRedisV9Adapter)(nil)
	_ Presence        = (*GoRedisV9Adapter)(nil)
)

// NewGoRedisV9Adapter returns a Remote, a *GoRedisV9Adapter, that sends its commands to client. The
// caller closes client after use. It panics if client is nil.
func NewGoRedisV9Adapter(client redis.Cmdable) Remote {
	return newGoRedis("NewGoRedisV9Adapter", client, nil)
}

// NewGoRedis is NewGoRedisV9Adapter with options. It also panics if an option is nil, or cannot be
// met with this client. With WithoutTTL, the Remote is not a *GoRedisV9Adapter.
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
	r := &GoRedisV9Adapter{
		client: client, fences: newFenceWriter(), pings: pingInterval,
		writeOnce: o.writeOnce, plainPublish: o.plainPublish,
	}
	switch client.(type) {
	case *redis.Client, *redis.Conn:
		r.single = true
	}
	if o.autoPipeline {
		r.auto = autoPipeliner(client)
	}
	if o.withoutTTL {
		return withoutTTL{r, r, r, r, r, r, r, r, r, r, r, r, r}
	}
	return r
}

// GoRedisOption is an option of NewGoRedis.
type GoRedisOption func(*goRedisOptions)

type goRedisOptions struct{ autoPipeline, withoutTTL, plainPublish, writeOnce bool }

// WithoutTTL makes reads not ask for the remaining lifetime of a key. That saves a command for each
// key: batches get a little faster (the benchmark MGetRemote shows how much), and the server has
// less to do. The price: a local copy may outlive the value in Redis. It lives for the remote
// expiry of the cache, or for the lifetime of the local store's entries, whichever is shorter. A
// node with WithTracking then also takes a foreign change of the lifetime alone, right after a write
// of its own, for that write. Default: reads ask, and no local copy outlives the value.
func WithoutTTL() GoRedisOption { return func(o *goRedisOptions) { o.withoutTTL = true } }

// withoutTTL is an adapter without TTLGetter.
type withoutTTL struct {
	Remote
	ItemSetter
	KeysDeleter
	CompareDeleter
	Bus
	Sequencer
	Carrier
	FollowerCounter
	Presence
	Fencer
	Leaser
	Tracker
	ContextHeeder
}

// SequencerOf returns the adapter without TTLs: its Publish and its Subscribe are those of the adapter.
func (r withoutTTL) SequencerOf() Sequencer { return r }

// SetEX stores value under key for expire, by SET. Zero means that the key does not expire.
func (r *GoRedisV9Adapter) SetEX(ctx context.Context, key string, value any, expire time.Duration) error {
	expire, err := lifetime(key, expire)
	if err != nil {
		return err
	}
	return write(ctx, r, func(to redis.Cmdable) *redis.StatusCmd { return to.Set(ctx, key, value, expire) }).Err()
}

// SetNX is SetEX if key is absent. It reports whether it stored the value.
func (r *GoRedisV9Adapter) SetNX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	expire, err := lifetime(key, expire)
	if err != nil {
		return false, err
	}
	return write(ctx, r, func(to redis.Cmdable) *redis.BoolCmd { return to.SetNX(ctx, key, value, expire) }).Result()
}

// SetXX is SetEX if key is present. It reports whether it stored the value.
func (r *GoRedisV9Adapter) SetXX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	expire, err := lifetime(key, expire)
	if err != nil {
		return false, err
	}
	return write(ctx, r, func(to redis.Cmdable) *redis.BoolCmd { return to.SetXX(ctx, key, value, expire) }).Result()
}

// Get returns the value of key, or the error redis.Nil if key is absent.
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

// between returns the value of get with the shorter of two lifetimes.
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

// GetWithTTL returns the value of key and its remaining lifetime, or the error redis.Nil if key is
// absent.
func (r *GoRedisV9Adapter) GetWithTTL(ctx context.Context, key string) (Value, error) {
	if r.auto != nil {
		// The three commands may be sent in different pipelines, and a write may come between
		// them. So the lifetime is asked before the value and after it. The shorter one is safe
		// for the old value and for the new one.
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

// Del removes key, and returns the number of keys that it removed.
func (r *GoRedisV9Adapter) Del(ctx context.Context, key string) (int64, error) {
	return write(ctx, r, func(to redis.Cmdable) *redis.IntCmd { return to.Del(ctx, key) }).Result()
}

// compareAndDelete removes KEYS[1] if its value is ARGV[1].
var compareAndDelete = redis.NewScript(`
if redis.call("get", KEYS[1]) == ARGV[1] then
	return redis.call("del", KEYS[1])
end
return 0`)

// CompareAndDelete removes key if its value is value, by a script. It reports whether it removed
// key.
func (r *GoRedisV9Adapter) CompareAndDelete(ctx context.Context, key, value string) (bool, error) {
	cmd := write(ctx, r, func(to redis.Cmdable) *redis.Cmd { return compareAndDelete.EvalSha(ctx, to, []string{key}, value) })
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = write(ctx, r, func(to redis.Cmdable) *redis.Cmd { return compareAndDelete.Eval(ctx, to, []string{key}, value) })
	}
	n, err := cmd.Int64()
	return n > 0, err
}

// HeedsContext reports whether the client's option ContextTimeoutEnabled is set. Without it, go-redis
// goes on with a call whose ctx has ended, until its own timeouts are over and its retries have failed.
// For a client that is none of go-redis' own, it reports false.
func (r *GoRedisV9Adapter) HeedsContext() bool {
	switch client := r.client.(type) {
	case *redis.Client:
		return client.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		return client.Options().ContextTimeoutEnabled
	case *redis.Ring:
		return client.Options().ContextTimeoutEnabled
	}
	return false
}

// Nil returns redis.Nil.
func (r *GoRedisV9Adapter) Nil() error { return redis.Nil }

// pair is a read of a key's remaining lifetime and then of its value. In this order, a write
// between the two can only make the lifetime too short.
type pair struct {
	pttl *redis.DurationCmd
	get  *redis.StringCmd
}

func queuePair(ctx context.Context, pipe redis.Pipeliner, key string) pair {
	return pair{pttl: unsent(pipe.PTTL(ctx, key)), get: unsent(pipe.Get(ctx, key))}
}

// The replies of PTTL for a key that does not expire, and for an absent key.
// https://redis.io/docs/latest/commands/pttl/
const (
	pttlNoExpiry = -1
	pttlAbsent   = -2
)

// value returns the value that was read; pipeline is the error of the whole pipeline.
func (p pair) value(pipeline error) (Value, error) {
	if err := outcome(p.get, pipeline); err != nil {
		return Value{}, err
	}
	if err := outcome(p.pttl, pipeline); err != nil {
		return Value{}, err
	}
	return timed(p.get.Val(), p.pttl.Val()), nil
}

// timed returns a value with the lifetime that PTTL had returned before the value was read.
func timed(data string, ttl time.Duration) Value {
	switch {
	case ttl == pttlNoExpiry:
		return Value{Data: data}
	case ttl <= 0: // it was absent, or in its last millisecond, and was then written: read it again soon
		return Value{Data: data, TTL: time.Millisecond}
	}
	return Value{Data: data, TTL: ttl}
}
