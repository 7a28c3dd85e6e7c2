package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// scriptKeys is how many items one call of a script has where the client speaks to one node:
// the server answers nobody else until the call has ended.
const scriptKeys = 100

// itemScript makes a script that handles items of so many KEYS each. body is Lua with a function
// handle(i), which returns the reply for the item with the number i. It must bear to be run
// again with the same arguments. A key of a wrong type is the trouble of its item, whose reply
// is then a list of the error's text; any other error, such as that the server is a replica, is
// that of the call, so that go-redis sees it too. Replies never have errors in them: go-redis
// 9.22 stops reading at some of those, and takes what is left for the reply to another command.
func itemScript(keys int, body string) *redis.Script {
	return redis.NewScript(fmt.Sprintf("local items = #KEYS / %d\n%s", keys, body) + `

local replies = {}
for i = 1, items do
	local ok, reply = pcall(handle, i)
	if not ok then
		local text = tostring(type(reply) == "table" and reply.err or reply)
		if not string.find(text, "WRONGTYPE", 1, true) then
			return {err = text}
		end
		reply = {text}
	end
	replies[i] = reply
end
return replies`)
}

// keyError is the error of an item, as the server told it.
type keyError string

func (e keyError) Error() string { return string(e) }

// RedisError makes it a redis.Error.
func (keyError) RedisError() {}

// scriptCall is a call of an item script: its ARGV[1] is a lifetime in milliseconds, and all
// items add equally many keys, and equally many arguments.
type scriptCall struct {
	keys  []string
	args  []any
	items []int // their indexes
	reply *redis.Cmd
}

// add puts an item into the call.
func (c *scriptCall) add(keys []string, args ...any) error {
	c.keys = append(c.keys, keys...)
	c.args = append(c.args, args...)
	return nil
}

// evalItems has script handle n items, which add puts into calls, unless it returns an error.
// The replies of items and their errors are by index; where there is no error, there is a reply.
// op is the operation, for its error as a whole, which names the items by key.
func (r *GoRedisV9Adapter) evalItems(
	ctx context.Context, op string, script *redis.Script, ttl time.Duration, n int,
	key func(i int) string, add func(c *scriptCall, i int) error,
) (replies []any, err error) {
	replies = make([]any, n)
	errs := make([]error, n)
	px, invalid := positive(ttl)
	if invalid != nil {
		add = func(*scriptCall, int) error { return invalid }
	}
	size := 1 // a cluster's client sends a call to where its keys are
	if r.single {
		size = scriptKeys
	}
	inParts(n, func(from, to int) {
		var calls []*scriptCall
		for i := from; i < to; i++ {
			if last := len(calls) - 1; last < 0 || len(calls[last].items) == size {
				calls = append(calls, &scriptCall{args: []any{px}})
			}
			c := calls[len(calls)-1]
			if errs[i] = add(c, i); errs[i] == nil {
				c.items = append(c.items, i)
			}
		}
		r.eval(ctx, script, calls, replies, errs)
	})
	var failed failures
	for i, err := range errs {
		if err != nil {
			failed.add(key(i), err)
		}
	}
	return replies, failed.err(op)
}

// eval sends calls in one pipeline, and puts what becomes of their items into replies and errs.
func (r *GoRedisV9Adapter) eval(ctx context.Context, script *redis.Script, calls []*scriptCall, replies []any, errs []error) {
	calls = nonEmpty(calls)
	r.send(ctx, calls, func(pipe redis.Pipeliner, c *scriptCall) *redis.Cmd {
		return script.EvalSha(ctx, pipe, c.keys, c.args...)
	})
	var unknown, refused []*scriptCall
	for _, c := range calls {
		if redis.HasErrorPrefix(c.reply.Err(), "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	r.send(ctx, unknown, func(pipe redis.Pipeliner, c *scriptCall) *redis.Cmd {
		return script.Eval(ctx, pipe, c.keys, c.args...)
	})
	for _, c := range calls {
		if len(c.items) > 1 && isRefusalOfKeys(c.reply.Err()) {
			refused = append(refused, c.split()...)
			continue
		}
		c.take(replies, errs)
	}
	if len(refused) > 0 {
		r.eval(ctx, script, refused, replies, errs)
	}
}

func nonEmpty(calls []*scriptCall) (some []*scriptCall) {
	for _, c := range calls {
		if len(c.items) > 0 {
			some = append(some, c)
		}
	}
	return some
}

// send sends calls in one pipeline.
func (r *GoRedisV9Adapter) send(ctx context.Context, calls []*scriptCall, queue func(redis.Pipeliner, *scriptCall) *redis.Cmd) {
	if len(calls) == 0 {
		return
	}
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, c := range calls {
			c.reply = unsent(queue(pipe, c))
		}
		return nil
	})
	for _, c := range calls {
		if err := outcome(c.reply, err); err != nil {
			c.reply.SetErr(err)
		}
	}
}

// isRefusalOfKeys reports whether err may concern some of a call's keys alone: they are not in
// one slot of a cluster, or the user may not touch one of them.
func isRefusalOfKeys(err error) bool {
	return redis.HasErrorPrefix(err, "CROSSSLOT") || redis.HasErrorPrefix(err, "NOPERM")
}

// split returns a call for each item.
func (c *scriptCall) split() []*scriptCall {
	calls := make([]*scriptCall, len(c.items))
	keys, args := len(c.keys)/len(c.items), (len(c.args)-1)/len(c.items)
	for n, i := range c.items {
		calls[n] = &scriptCall{
			keys:  c.keys[n*keys : (n+1)*keys],
			args:  append([]any{c.args[0]}, c.args[1+n*args:1+(n+1)*args]...),
			items: []int{i},
		}
	}
	return calls
}

var errReply = errors.New("remote: the server answered a script with something else than it returns")

// take puts the replies of the call's items into replies and errs.
func (c *scriptCall) take(replies []any, errs []error) {
	answers, err := c.reply.Slice()
	if err == nil && len(answers) != len(c.items) {
		err = errReply
	}
	for n, i := range c.items {
		if err != nil {
			errs[i] = err
			continue
		}
		replies[i], errs[i] = itemReply(answers[n])
	}
}

// itemReply returns the reply for an item, or its error.
func itemReply(answer any) (any, error) {
	list, ok := answer.([]any)
	switch {
	case answer == nil:
		return nil, errReply
	case ok && len(list) == 1:
		text, _ := list[0].(string)
		return nil, keyError(text)
	}
	return answer, nil
}
