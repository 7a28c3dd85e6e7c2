package remote

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pipelineSize is how many keys a pipeline has at most: a longer one keeps the server
	// and its connection busy for so long that others notice.
	pipelineSize = 500
	// pipelines is how many pipelines of one batch are under way at a time.
	pipelines = 4
)

// inParts calls do for the parts of n keys, of pipelineSize each, up to pipelines at a time.
func inParts(n int, do func(from, to int)) {
	switch {
	case n == 0:
		return
	case n <= pipelineSize:
		do(0, n)
		return
	}
	var (
		wg       sync.WaitGroup
		panicked atomic.Pointer[any]
	)
	free := make(chan struct{}, pipelines)
	for from := 0; from < n; from += pipelineSize {
		free <- struct{}{}
		wg.Go(func() {
			defer func() {
				<-free
				if r := recover(); r != nil { // of a hook of the client, say: it is the caller's
					panicked.Store(&r)
				}
			}()
			do(from, min(from+pipelineSize, n))
		})
	}
	wg.Wait()
	if r := panicked.Load(); r != nil {
		panic(*r)
	}
}

// MGet returns the values of keys in one pipeline: from a single node by one MGET, otherwise
// by GETs. A key that cannot be read, such as one that holds a list, does not spoil the
// others: they are returned together with its error.
func (r *GoRedisV9Adapter) MGet(ctx context.Context, keys ...string) (map[string]any, error) {
	found := make(map[string]any, len(keys))
	err := r.read(ctx, keys, false, func(key, data string, _ time.Duration) { found[key] = data })
	return found, err
}

// MGetWithTTL returns the values of keys and what remains of their lifetimes in one
// pipeline, as MGet does.
func (r *GoRedisV9Adapter) MGetWithTTL(ctx context.Context, keys ...string) (map[string]Value, error) {
	found := make(map[string]Value, len(keys))
	err := r.read(ctx, keys, true, func(key, data string, ttl time.Duration) { found[key] = timed(data, ttl) })
	return found, err
}

// read calls found for each of keys that is there.
func (r *GoRedisV9Adapter) read(ctx context.Context, keys []string, withTTL bool, found func(key, data string, ttl time.Duration)) error {
	all := newReading(keys, withTTL)
	inParts(len(keys), func(from, to int) {
		if r.single {
			r.readByMGet(ctx, all.part(from, to))
		} else {
			r.readByGets(ctx, all.part(from, to))
		}
	})
	var failed failures
	for i, key := range keys {
		switch err := all.errs[i]; {
		case err == nil:
			found(key, all.data[i], all.ttls[i])
		case !errors.Is(err, redis.Nil):
			failed.add(key, err)
		}
	}
	return failed.err("get")
}

// reading is a batch of keys, with what has been read of them by index.
type reading struct {
	keys    []string
	data    []string
	ttls    []time.Duration // as PTTL says
	errs    []error         // redis.Nil for a key that is not there
	withTTL bool
}

func newReading(keys []string, withTTL bool) *reading {
	n := len(keys)
	return &reading{keys, make([]string, n), make([]time.Duration, n), make([]error, n), withTTL}
}

func (p *reading) part(from, to int) *reading {
	return &reading{p.keys[from:to], p.data[from:to], p.ttls[from:to], p.errs[from:to], p.withTTL}
}

// queueTTLs asks for the remaining lifetimes, if they are wanted: before the values, so that
// what is written in between has a lifetime that is too short rather than too long.
func (p *reading) queueTTLs(ctx context.Context, pipe redis.Pipeliner) []*redis.DurationCmd {
	if !p.withTTL {
		return nil
	}
	cmds := make([]*redis.DurationCmd, len(p.keys))
	for i, key := range p.keys {
		cmds[i] = unsent(pipe.PTTL(ctx, key))
	}
	return cmds
}

// takeTTLs takes over the replies; err is the error of the pipeline.
func (p *reading) takeTTLs(cmds []*redis.DurationCmd, err error) {
	for i, cmd := range cmds {
		p.ttls[i] = cmd.Val()
		if p.errs[i] == nil {
			p.errs[i] = outcome(cmd, err)
		}
	}
}

// readByGets reads each key by commands of its own, which a cluster's client sends to the
// key's node.
func (r *GoRedisV9Adapter) readByGets(ctx context.Context, p *reading) {
	var ttls []*redis.DurationCmd
	gets := make([]*redis.StringCmd, len(p.keys))
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		ttls = p.queueTTLs(ctx, pipe)
		for i, key := range p.keys {
			gets[i] = unsent(pipe.Get(ctx, key))
		}
		return nil
	})
	for i, cmd := range gets {
		p.data[i], p.errs[i] = cmd.Val(), outcome(cmd, err)
	}
	p.takeTTLs(ttls, err)
}

// readByMGet reads all values by one command. If it gives no value for keys that are there,
// as of those that hold something else than a string, these are read by commands of their
// own, whose replies say what is wrong; so are all of them if it is refused.
func (r *GoRedisV9Adapter) readByMGet(ctx context.Context, p *reading) {
	var ttls []*redis.DurationCmd
	var exists *redis.IntCmd // how many keys there are; nil: the lifetimes tell
	var mget *redis.SliceCmd
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		if ttls = p.queueTTLs(ctx, pipe); ttls == nil {
			exists = unsent(pipe.Exists(ctx, p.keys...))
		}
		mget = unsent(pipe.MGet(ctx, p.keys...))
		return nil
	})
	if err := outcome(mget, err); err != nil {
		if isReply(err) { // such as that the keys are not all in one slot
			r.readByGets(ctx, p)
			return
		}
		for i := range p.errs {
			p.errs[i] = err
		}
		return
	}
	none := make([]int, 0, len(p.keys)) // the places of keys without a value
	for i, v := range mget.Val() {
		data, ok := v.(string)
		if !ok {
			p.errs[i] = redis.Nil
			none = append(none, i)
		}
		p.data[i] = data
	}
	p.takeTTLs(ttls, err)
	if exists != nil && exists.Err() == nil && int(exists.Val()) <= len(p.keys)-len(none) {
		return
	}
	odd := slices.DeleteFunc(none, func(i int) bool {
		return exists == nil && (ttls[i].Err() != nil || ttls[i].Val() == pttlAbsent)
	})
	if len(odd) == 0 {
		return
	}
	keys := make([]string, len(odd))
	for n, i := range odd {
		keys[n] = p.keys[i]
	}
	again := newReading(keys, p.withTTL)
	r.readByGets(ctx, again)
	for n, i := range odd {
		p.data[i], p.ttls[i], p.errs[i] = again.data[n], again.ttls[n], again.errs[n]
	}
}

// isReply reports whether err is an answer of the server.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// MSet stores each of values for expire, in one pipeline of SETs.
func (r *GoRedisV9Adapter) MSet(ctx context.Context, values map[string]any, expire time.Duration) error {
	items := make([]setting, 0, len(values))
	for key, value := range values {
		items = append(items, setting{key, value, expire})
	}
	return r.set(ctx, len(items), func(i int) setting { return items[i] })
}

// MSetItems stores each item for its own time, in one pipeline of SETs.
func (r *GoRedisV9Adapter) MSetItems(ctx context.Context, items ...Item) error {
	return r.set(ctx, len(items), func(i int) setting { return setting{items[i].Key, items[i].Data, items[i].Expire} })
}

// setting is a key to set.
type setting struct {
	key    string
	value  any
	expire time.Duration
}

func (r *GoRedisV9Adapter) set(ctx context.Context, n int, item func(i int) setting) error {
	return r.change(ctx, "set", n, func(pipe redis.Pipeliner, i int) (string, redis.Cmder, error) {
		s := item(i)
		expire, err := lifetime(s.key, s.expire)
		if err != nil {
			return s.key, nil, err
		}
		return s.key, pipe.Set(ctx, s.key, s.value, expire), nil
	})
}

// MDel removes keys in one pipeline of DELs.
func (r *GoRedisV9Adapter) MDel(ctx context.Context, keys ...string) error {
	return r.change(ctx, "del", len(keys), func(pipe redis.Pipeliner, i int) (string, redis.Cmder, error) {
		return keys[i], pipe.Del(ctx, keys[i]), nil
	})
}

// change sends n commands, which queue puts into a pipeline each.
func (r *GoRedisV9Adapter) change(ctx context.Context, op string, n int, queue func(pipe redis.Pipeliner, i int) (key string, cmd redis.Cmder, err error)) error {
	keys, errs := make([]string, n), make([]error, n)
	inParts(n, func(from, to int) {
		cmds := make([]redis.Cmder, to-from)
		_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := from; i < to; i++ {
				if keys[i], cmds[i-from], errs[i] = queue(pipe, i); errs[i] == nil {
					unsent(cmds[i-from])
				}
			}
			return nil
		})
		for i := from; i < to; i++ {
			if errs[i] == nil {
				errs[i] = outcome(cmds[i-from], err)
			}
		}
	})
	var failed failures
	for i, err := range errs {
		if err != nil {
			failed.add(keys[i], err)
		}
	}
	return failed.err(op)
}
