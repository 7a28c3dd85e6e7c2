package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// WithAutoPipeline makes reads of single keys by concurrent callers share pipelines. While a
// pipeline is under way, further reads wait for the next one. Use it if many keys are read from
// Redis at a time: with 128 callers, the throughput is more than twice as high. A lone caller waits
// longer, because another goroutine sends its command. Writes and batches are not affected.
// Default: each read is a round trip of its own, on a connection of its own.
//
// It uses the automatic pipelining of go-redis, which its authors call experimental, with the
// client's settings (AutoPipelineOptions of redis.Options). By default one pipeline is under way at
// a time, on a cluster one to each node. So a stalled connection, or a very large value, delays all
// of these reads, for at most the client's ReadTimeout. A caller leaves when its ctx ends, but its
// command is still sent. NewGoRedis panics if client is neither a *redis.Client nor a
// *redis.ClusterClient, or if it is closed. Closing the client ends the pipelining.
func WithAutoPipeline() GoRedisOption { return func(o *goRedisOptions) { o.autoPipeline = true } }

// minBatch is the number of commands at which a pipeline is sent at once, if the client has no
// settings. By default go-redis waits for as many commands as the last pipeline had. They may never
// come: of the callers that wait for one key, only one sends a command.
const minBatch = 1

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
		settings = &redis.AutoPipelineOptions{MaxBatchSize: minBatch}
	}
	auto, err := c.AsyncAutoPipelineWithOptions(settings)
	if err != nil {
		panic(fmt.Sprintf("remote: NewGoRedis: WithAutoPipeline: %v", err))
	}
	return auto
}

// share sends commands of one key together with those of other callers, and waits for their
// replies. If it returns an error, ctx has ended, and the caller must not read cmds. If sent is
// false, cmds were not sent, because the pipeliner was closed: go-redis shares it between all users
// of a client.
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
