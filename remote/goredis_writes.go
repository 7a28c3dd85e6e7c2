package remote

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// WithoutWriteRetries makes go-redis send each change once. By default it sends a command again if
// the reply is lost, up to three times (MaxRetries of the client; MaxRedirects on a cluster). But the
// first attempt may still be on its way then. It can arrive after the second attempt has succeeded,
// and after a newer change. So a Set that returned nil can take effect again, over a newer change
// that was acknowledged. With this option there is no second attempt: a change whose reply is lost
// returns an error, and what is still on its way was never acknowledged.
//
// The changes are those of SetEX, SetNX, SetXX, Del, MSet, MSetItems, MDel and CompareAndDelete. The
// option does not affect reads, messages of the Bus, and the scripts of fences and leases. A cache
// with WithFence changes values by these scripts, which do not depend on this option. So use it for
// caches without fences.
//
// The price: a change fails at the first broken connection, and also if the server refuses it for the
// moment, as while it is loading or becomes a replica. Redirections of a cluster are followed. Call
// Delete again after an error: a late Delete removes at most a value that can be loaded again. The
// option takes no connections of its own, and does not affect other users of the client. Hooks of the
// client see a pipeline of one command in place of a single command. Default: changes are repeated as
// the options of the client say.
func WithoutWriteRetries() GoRedisOption { return func(o *goRedisOptions) { o.writeOnce = true } }

// unrepeated is a command that go-redis does not send again. It is sent by pipelines only: on a
// cluster, go-redis looks at the types of some commands that are sent alone, and splits others.
type unrepeated struct{ redis.Cmder }

// NoRetry is what go-redis asks before it sends a command, or the pipeline that it is in, again.
func (unrepeated) NoRetry() bool { return true }

// Clone is made by go-redis when it sends parts of a command to several nodes.
func (u unrepeated) Clone() redis.Cmder { return unrepeated{u.Cmder.Clone()} }

// sendUnrepeated makes the commands that wait in pipe unrepeated.
func sendUnrepeated(ctx context.Context, pipe redis.Pipeliner) error {
	cmds := slices.Clone(pipe.Cmds())
	pipe.Discard()
	for _, cmd := range cmds {
		if err := pipe.Process(ctx, unrepeated{cmd}); err != nil {
			return err
		}
	}
	return nil
}

// write sends the single command that build makes, once with WithoutWriteRetries.
func write[C redis.Cmder](ctx context.Context, r *GoRedisV9Adapter, build func(to redis.Cmdable) C) C {
	if !r.writeOnce {
		return build(r.client)
	}
	var cmd C
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		cmd = unsent(build(pipe))
		return sendUnrepeated(ctx, pipe)
	})
	cmd.SetErr(outcome(cmd, err))
	return cmd
}
