package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// WithAutoPipeline has reads of single keys by concurrent callers share pipelines: while one
// pipeline is under way, what is asked for meanwhile waits for the next. A lone caller does
// not wait. Default: each read is a round trip of its own, on a connection of its own. Writes
// and batches are sent as without it.
//
// It is go-redis' own automatic pipelining, with the client's settings (AutoPipelineOptions of
// redis.Options), which its authors call experimental. With settings that are Unordered, reads
// that ask for the remaining lifetime are not shared: its command has to come first. A caller leaves when its ctx ends, but
// the command that it waited for is still sent. NewGoRedis panics if client is neither a
// *redis.Client nor a *redis.ClusterClient, or if it is closed.
func WithAutoPipeline() GoRedisOption { return func(o *goRedisOptions) { o.autoPipeline = true } }

func autoPipeliner(client redis.Cmdable) *redis.AutoPipeliner {
	c, ok := client.(interface {
		AsyncAutoPipeline() (*redis.AutoPipeliner, error)
	})
	if !ok {
		panic(fmt.Sprintf("remote: NewGoRedis: WithAutoPipeline needs a *redis.Client or *redis.ClusterClient; it was given a %T", client))
	}
	auto, err := c.AsyncAutoPipeline()
	if err != nil {
		panic(fmt.Sprintf("remote: NewGoRedis: WithAutoPipeline: %v", err))
	}
	return auto
}

// LeavesWithContext reports whether WithAutoPipeline was given: go-redis otherwise leaves a
// read on the way only by the client's own timeouts.
func (r *GoRedisV9Adapter) LeavesWithContext() bool {
	return r.auto != nil && !r.auto.Config().Unordered
}

// share sends commands of one key with those of other callers and waits for their replies.
// With an error, the caller's ctx has ended and cmds are not to be looked at; if they were not
// sent, somebody has closed the pipeliner, which go-redis shares between all users of a client.
func (r *GoRedisV9Adapter) share(ctx context.Context, cmds ...redis.Cmder) (sent bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	var last redis.AutoFuture
	for _, cmd := range cmds {
		last = r.auto.Submit(ctx, unsent(cmd)) // they are sent in this order
	}
	err = last.WaitContext(ctx)
	switch {
	case err != nil && errors.Is(err, ctx.Err()):
		return false, err
	case errors.Is(err, redis.ErrClosed):
		return false, nil
	}
	return true, nil
}
