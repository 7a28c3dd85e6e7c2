package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// GoRedisV9Adapter is a Remote on go-redis v9. It works with every client of that
// package (single node, Sentinel, Ring, Cluster): batches are pipelines of single-key
// commands, which the client spreads over the nodes by itself. Lifetimes are exact to
// the millisecond; one below a millisecond is a millisecond.
//
// It has all the optional abilities of this package.
type GoRedisV9Adapter struct {
	client redis.Cmdable
}

var (
	_ Remote         = (*GoRedisV9Adapter)(nil)
	_ TTLGetter      = (*GoRedisV9Adapter)(nil)
	_ ItemSetter     = (*GoRedisV9Adapter)(nil)
	_ KeysDeleter    = (*GoRedisV9Adapter)(nil)
	_ CompareDeleter = (*GoRedisV9Adapter)(nil)
)

// NewGoRedisV9Adapter returns a Remote that sends its commands to client, which stays
// the caller's to close. It panics if client is nil.
func NewGoRedisV9Adapter(client redis.Cmdable) Remote {
	if client == nil {
		panic("remote: NewGoRedisV9Adapter: the client is nil; give a redis.Client, ClusterClient or Ring")
	}
	return &GoRedisV9Adapter{client: client}
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
	return r.client.Get(ctx, key).Result()
}

// GetWithTTL returns the value of key and what remains of its lifetime, redis.Nil if
// there is none.
func (r *GoRedisV9Adapter) GetWithTTL(ctx context.Context, key string) (Value, error) {
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

// MGet returns the values of keys in one pipeline of GETs. A key that cannot be read,
// such as one that holds a list, does not spoil the others: they are returned together
// with its error.
func (r *GoRedisV9Adapter) MGet(ctx context.Context, keys ...string) (map[string]any, error) {
	if len(keys) == 0 {
		return map[string]any{}, nil
	}
	cmds := make([]*redis.StringCmd, len(keys))
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			cmds[i] = unsent(pipe.Get(ctx, key))
		}
		return nil
	})
	found := make(map[string]any, len(keys))
	var failed failures
	for i, cmd := range cmds {
		switch err := outcome(cmd, err); {
		case err == nil:
			found[keys[i]] = cmd.Val()
		case !errors.Is(err, redis.Nil):
			failed.add(keys[i], err)
		}
	}
	return found, failed.err("get")
}

// MGetWithTTL returns the values of keys and what remains of their lifetimes in one
// pipeline. Keys that cannot be read are treated as by MGet.
func (r *GoRedisV9Adapter) MGetWithTTL(ctx context.Context, keys ...string) (map[string]Value, error) {
	if len(keys) == 0 {
		return map[string]Value{}, nil
	}
	pairs := make([]pair, len(keys))
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			pairs[i] = queuePair(ctx, pipe, key)
		}
		return nil
	})
	found := make(map[string]Value, len(keys))
	var failed failures
	for i, p := range pairs {
		switch v, err := p.value(err); {
		case err == nil:
			found[keys[i]] = v
		case !errors.Is(err, redis.Nil):
			failed.add(keys[i], err)
		}
	}
	return found, failed.err("get")
}

// MSet stores each of values for expire, in one pipeline of SETs.
func (r *GoRedisV9Adapter) MSet(ctx context.Context, values map[string]any, expire time.Duration) error {
	return r.set(ctx, len(values), func(yield func(key string, value any, expire time.Duration)) {
		for key, value := range values {
			yield(key, value, expire)
		}
	})
}

// MSetItems stores each item for its own time, in one pipeline of SETs.
func (r *GoRedisV9Adapter) MSetItems(ctx context.Context, items ...Item) error {
	return r.set(ctx, len(items), func(yield func(key string, value any, expire time.Duration)) {
		for _, item := range items {
			yield(item.Key, item.Data, item.Expire)
		}
	})
}

// set sends n SETs, which each puts into yield, as one pipeline.
func (r *GoRedisV9Adapter) set(ctx context.Context, n int, each func(yield func(key string, value any, expire time.Duration))) error {
	if n == 0 {
		return nil
	}
	keys := make([]string, 0, n)
	cmds := make([]*redis.StatusCmd, 0, n)
	var failed failures
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		each(func(key string, value any, expire time.Duration) {
			expire, err := lifetime(key, expire)
			if err != nil {
				failed.add(key, err)
				return
			}
			keys, cmds = append(keys, key), append(cmds, unsent(pipe.Set(ctx, key, value, expire)))
		})
		return nil
	})
	for i, cmd := range cmds {
		if err := outcome(cmd, err); err != nil {
			failed.add(keys[i], err)
		}
	}
	return failed.err("set")
}

// MDel removes keys in one pipeline of DELs.
func (r *GoRedisV9Adapter) MDel(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	cmds := make([]*redis.IntCmd, len(keys))
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			cmds[i] = unsent(pipe.Del(ctx, key))
		}
		return nil
	})
	var failed failures
	for i, cmd := range cmds {
		if err := outcome(cmd, err); err != nil {
			failed.add(keys[i], err)
		}
	}
	return failed.err("del")
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

// lifetime checks expire and rounds it up to the milliseconds that Redis counts in.
// go-redis would take -1 for "keep the TTL that is there".
func lifetime(key string, expire time.Duration) (time.Duration, error) {
	if expire < 0 {
		return 0, fmt.Errorf("remote: the lifetime of %q is %s; give 0 for a key that does not expire", key, expire)
	}
	if rest := expire % time.Millisecond; rest > 0 {
		expire += time.Millisecond - rest
	}
	return expire, nil
}

// pair is a read of a key's remaining lifetime and, right behind it, of its value. In
// this order, a write between the two can only make the lifetime too short.
type pair struct {
	pttl *redis.DurationCmd
	get  *redis.StringCmd
}

func queuePair(ctx context.Context, pipe redis.Pipeliner, key string) pair {
	return pair{pttl: unsent(pipe.PTTL(ctx, key)), get: unsent(pipe.Get(ctx, key))}
}

// pttlNoExpiry is what PTTL answers for a key that does not expire; for an absent one
// it is -2. https://redis.io/docs/latest/commands/pttl/
const pttlNoExpiry = -1

// value returns what was read; pipeline is the error of the pipeline as a whole.
func (p pair) value(pipeline error) (Value, error) {
	if err := outcome(p.get, pipeline); err != nil {
		return Value{}, err
	}
	if err := outcome(p.pttl, pipeline); err != nil {
		return Value{}, err
	}
	data, ttl := p.get.Val(), p.pttl.Val()
	switch {
	case ttl == pttlNoExpiry:
		return Value{Data: data}, nil
	case ttl <= 0: // absent or in its last millisecond, then written anew: ask again soon
		return Value{Data: data, TTL: time.Millisecond}, nil
	}
	return Value{Data: data, TTL: ttl}, nil
}

// errUnsent marks a queued command until it has a reply. go-redis leaves the commands
// of a pipeline that found no connection without an error, as if each had been answered
// with nothing.
var errUnsent = errors.New("remote: the command was not sent")

// unsent marks cmd.
func unsent[C redis.Cmder](cmd C) C {
	cmd.SetErr(errUnsent)
	return cmd
}

// outcome returns the error of a command that was queued as unsent; pipeline is the
// error of its pipeline.
func outcome(cmd redis.Cmder, pipeline error) error {
	if err := cmd.Err(); err != errUnsent || pipeline == nil {
		return err
	}
	return pipeline
}

// failures gathers the errors of a pipeline's commands. A broken connection fails all
// of them alike, so it keeps one of each text, with the first key that has it.
type failures struct {
	keys int
	errs []error
	seen map[string]bool
}

func (f *failures) add(key string, err error) {
	f.keys++
	if text := err.Error(); !f.seen[text] {
		if f.seen == nil {
			f.seen = make(map[string]bool)
		}
		f.seen[text] = true
		f.errs = append(f.errs, fmt.Errorf("%q: %w", key, err))
	}
}

// err returns what was gathered, nil if that is nothing.
func (f *failures) err(op string) error {
	if f.keys == 0 {
		return nil
	}
	return fmt.Errorf("remote: %s: %d keys failed: %w", op, f.keys, errors.Join(f.errs...))
}
