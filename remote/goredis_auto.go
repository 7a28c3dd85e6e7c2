package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// WithAutoPipeline has reads of single keys by concurrent callers share pipelines: while one
// pipeline is under way, what is asked for meanwhile waits for the next. It is for services in
// which many keys are read from Redis at a time: with 128 callers it has more than twice the
// throughput, and a lone caller waits longer, as the commands are sent by another goroutine.
// Default: each read is a round trip of its own, on a connection of its own. Writes and batches
// are sent as without it.
//
// It is go-redis' own automatic pipelining, which its authors call experimental, with the
// client's settings for it (AutoPipelineOptions of redis.Options). By default one pipeline is
// under way at a time, to each node of a cluster: a stalled connection, or a very large value,
// holds up all of these reads, until the client's ReadTimeout at the longest. A caller leaves
// when its ctx ends, but the command that it waited for is still sent. NewGoRedis panics if
// client is neither a *redis.Client nor a *redis.ClusterClient, or if it is closed.
func WithAutoPipeline() GoRedisOption { return func(o *goRedisOptions) { o.autoPipeline = true } }

// enough is how many commands a pipeline is not held back for more of, where the client has no
// settings. go-redis would wait for as many as the last one had: but of callers that wait for
// the same key, one asks.
const enough = 1

func autoPipeliner(client redis.Cmdable) *redis.AutoPipeliner {
	c, ok := client.(interface {
		AsyncAutoPipelineWithOptions(*redis.AutoPipelineOptions) (*redis.AutoPipeliner, error)
	})
	if !ok {
		panic(fmt.Sprintf("remote: NewGoRedis: WithAutoPipeline needs a *redis.Client or *redis.ClusterClient; it was given a %T", client))
	}
	var settings *redis.AutoPipelineOptions
	switch c := client.(type) {
	case *redis.Client:
		settings = c.Options().AutoPipelineOptions
	case *redis.ClusterClient:
		settings = c.Options().AutoPipelineOptions
	}
	if settings == nil {
		settings = &redis.AutoPipelineOptions{MaxBatchSize: enough}
	}
	auto, err := c.AsyncAutoPipelineWithOptions(settings)
	if err != nil {
		panic(fmt.Sprintf("remote: NewGoRedis: WithAutoPipeline: %v", err))
	}
	return auto
}

// share sends commands of one key with those of other callers and waits for their replies.
// With an error, the caller's ctx has ended and cmds are not to be looked at; if they were not
// sent, somebody has closed the pipeliner, which go-redis shares between all users of a client.
func (r *GoRedisV9Adapter) share(ctx context.Context, cmds ...redis.Cmder) (sent bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	replies := make([]redis.AutoFuture, len(cmds))
	for i, cmd := range cmds {
		replies[i] = r.auto.Submit(ctx, unsent(cmd))
	}
	for _, reply := range replies {
		err := reply.WaitContext(ctx)
		switch {
		case err != nil && errors.Is(err, ctx.Err()):
			return false, err
		case errors.Is(err, redis.ErrClosed):
			return false, nil
		}
	}
	return true, nil
}
