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
	// pipelineSize bounds the number of keys in a pipeline. A longer one occupies the server and
	// the connection for so long that other callers notice it.
	pipelineSize = 500
	// pipelines bounds the number of pipelines of one batch that are under way at a time.
	pipelines = 4
)

// inParts calls do for each part of n keys. A part has up to pipelineSize keys, and up to pipelines
// calls run at a time. If do panics, so does inParts.
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
				if r := recover(); r != nil { // such as a panic of a client's hook: the caller gets it
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

// MGet returns the values of the keys that are present: on a single node by MGET, otherwise by a
// pipeline of GETs. A key that cannot be read, such as one that holds a list, does not affect the
// others: MGet returns their values, and a KeysError.
func (r *GoRedisV9Adapter) MGet(ctx context.Context, keys ...string) (map[string]any, error) {
	found := make(map[string]any, len(keys))
	err := r.read(ctx, keys, false, func(key, data string, _ time.Duration) { found[key] = data })
	return found, err
}

// MGetWithTTL is MGet with the remaining lifetimes, in the same pipeline.
func (r *GoRedisV9Adapter) MGetWithTTL(ctx context.Context, keys ...string) (map[string]Value, error) {
	found := make(map[string]Value, len(keys))
	err := r.read(ctx, keys, true, func(key, data string, ttl time.Duration) { found[key] = timed(data, ttl) })
	return found, err
}

// read calls found for each key that is present.
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

// reading is a read of a batch of keys, with the results by index.
type reading struct {
	keys    []string
	data    []string
	ttls    []time.Duration // the replies of PTTL, if withTTL
	errs    []error         // redis.Nil for an absent key
	withTTL bool
}

func newReading(keys []string, withTTL bool) *reading {
	n := len(keys)
	return &reading{keys, make([]string, n), make([]time.Duration, n), make([]error, n), withTTL}
}

func (p *reading) part(from, to int) *reading {
	return &reading{p.keys[from:to], p.data[from:to], p.ttls[from:to], p.errs[from:to], p.withTTL}
}

// queueTTLs queues the commands for the remaining lifetimes, if they are wanted. It is called
// before the values are asked for: if a key is written in between, its lifetime is too short rather
// than too long.
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

// takeTTLs takes the replies to queueTTLs; err is the error of the pipeline.
func (p *reading) takeTTLs(cmds []*redis.DurationCmd, err error) {
	for i, cmd := range cmds {
		p.ttls[i] = cmd.Val()
		if p.errs[i] == nil {
			p.errs[i] = outcome(cmd, err)
		}
	}
}

// readByGets reads each key by commands of its own. The client of a cluster or a Ring sends them to
// the node of the key.
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

// readByMGet reads all values by one MGET. If MGET returns no value for a key that is present, such
// as one that holds a list, the key is read again by commands of its own, whose replies say what is
// wrong. If MGET is refused, all keys are read in this way.
func (r *GoRedisV9Adapter) readByMGet(ctx context.Context, p *reading) {
	var ttls []*redis.DurationCmd
	var exists *redis.IntCmd // the number of keys that are present; nil if the lifetimes say which
	var mget *redis.SliceCmd
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		if ttls = p.queueTTLs(ctx, pipe); ttls == nil {
			exists = unsent(pipe.Exists(ctx, p.keys...))
		}
		mget = unsent(pipe.MGet(ctx, p.keys...))
		return nil
	})
	if err := outcome(mget, err); err != nil {
		if isReply(err) { // such as that the keys are not in one slot
			r.readByGets(ctx, p)
			return
		}
		for i := range p.errs {
			p.errs[i] = err
		}
		return
	}
	none := make([]int, 0, len(p.keys)) // the indices of the keys without a value
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

// isReply reports whether err is a reply of the server.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// MSet stores each value under its key for expire, by a pipeline of SETs. If some keys fail, it
// stores the others, and returns a KeysError.
func (r *GoRedisV9Adapter) MSet(ctx context.Context, values map[string]any, expire time.Duration) error {
	items := make([]setting, 0, len(values))
	for key, value := range values {
		items = append(items, setting{key, value, expire})
	}
	return r.set(ctx, len(items), func(i int) setting { return items[i] })
}

// MSetItems is MSet for items with lifetimes of their own.
func (r *GoRedisV9Adapter) MSetItems(ctx context.Context, items ...Item) error {
	return r.set(ctx, len(items), func(i int) setting { return setting{items[i].Key, items[i].Data, items[i].Expire} })
}

// setting is a SET to send.
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

// MDel removes keys by a pipeline of DELs. If some keys fail, it removes the others, and returns a
// KeysError.
func (r *GoRedisV9Adapter) MDel(ctx context.Context, keys ...string) error {
	return r.change(ctx, "del", len(keys), func(pipe redis.Pipeliner, i int) (string, redis.Cmder, error) {
		return keys[i], pipe.Del(ctx, keys[i]), nil
	})
}

// change sends n commands in pipelines. queue puts command i into a pipeline, and returns its key;
// if it returns an error, the command is not sent.
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
			if r.writeOnce {
				return sendUnrepeated(ctx, pipe)
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
