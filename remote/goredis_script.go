package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// scriptKeys bounds the number of items in one call of a script, if the client speaks to one node.
// The server serves no other client during a call.
const scriptKeys = 100

// itemScript makes a script that handles items with this number of KEYS each. body is Lua that
// defines a function handle(i), which returns the reply for item i. A second run of handle with the
// same arguments must do no harm, as go-redis retries calls.
//
// If an item has a key of a wrong type, its reply is a list with the text of the error. Any other
// error, such as that the server is a replica, is the error of the whole call, so that go-redis
// sees it, too. A reply never contains an error reply: go-redis 9.22 stops reading at some of them,
// and takes the rest for the reply to another command.
//
// ARGV[1] is a lifetime. handle also gets the arguments of its item, after i.
func itemScript(keys int, body string) *redis.Script {
	return newItemScript(fmt.Sprintf("local head, channel, width = 1, '', %d", keys), body)
}

// changeScript is itemScript for items that are changed. ARGV[2] is the writer of the changes. If
// ARGV[3], a channel, is not empty, the script publishes a message on it when it has changed
// anything: the last KEYS is the token of the channel, and the last arguments are the message and a
// random text. The last reply is the token then, or a list with the text of an error. The reply for
// an item that was not changed is 2, 3 or 6.
func changeScript(keys int, body string) *redis.Script {
	return newItemScript(announceLua+fmt.Sprintf("local head, channel, width = 3, ARGV[3], %d", keys), body)
}

// newItemScript makes a script of body. prelude is Lua that sets head, the number of arguments before
// those of the items, channel, and width, the number of keys of an item.
func newItemScript(prelude, body string) *redis.Script {
	return redis.NewScript(prelude + "\n" + body + `

local keys, args = #KEYS, #ARGV - head
if channel ~= "" then
	keys, args = keys - 1, args - 2
end
local items, changed, replies = keys / width, false, {}
args = args / items
for i = 1, items do
	local ok, reply = pcall(handle, i, unpack(ARGV, head + args * (i - 1) + 1, head + args * i))
	if not ok then
		local text = tostring(type(reply) == "table" and reply.err or reply)
		if not string.find(text, "WRONGTYPE", 1, true) then
			return {err = text}
		end
		reply = {text}
	end
	changed = changed or type(reply) == "table" or reply ~= 2 and reply ~= 3 and reply ~= 6
	replies[i] = reply
end
if channel ~= "" and changed then
	local token, err = announce(KEYS[#KEYS], channel, ARGV[#ARGV - 1])
	replies[items + 1] = token or {err}
end
return replies`)
}

// keyError is the error of an item, in the words of the server.
type keyError string

func (e keyError) Error() string { return string(e) }

// RedisError makes it a redis.Error.
func (keyError) RedisError() {}

// scriptCall is a call of an item script. All items have the same number of keys, and the same number
// of arguments.
type scriptCall struct {
	keys  []string
	head  int   // the number of arguments before those of the items
	args  []any // the first is a lifetime in milliseconds
	items []int // the indexes of the items
	news  *Announcement
	reply *redis.Cmd
}

// add puts an item into the call.
func (c *scriptCall) add(keys []string, args ...any) error {
	c.keys = append(c.keys, keys...)
	c.args = append(c.args, args...)
	return nil
}

// itemBatch is a batch of items for an item script.
type itemBatch struct {
	op     string // the operation, for the KeysError
	script *redis.Script
	ttl    time.Duration // of the fences or leases
	// writer is the writer of the changes, for a changeScript; otherwise it is empty.
	writer  string
	changes bool // the batch changes keys, so it may carry an announcement
	n       int  // the number of items
	key     func(i int) string
	// add puts item i into a call. If it returns an error, the item is not handled.
	add func(c *scriptCall, i int) error
}

// evalItems handles a batch. The replies are by index; the reply of an item that failed is nil. The
// error is a KeysError, nil if no item failed.
func (r *GoRedisV9Adapter) evalItems(ctx context.Context, b itemBatch) (replies []any, err error) {
	replies = make([]any, b.n)
	errs := make([]error, b.n)
	px, invalid := positive(b.ttl)
	if invalid != nil {
		b.add = func(*scriptCall, int) error { return invalid }
	}
	head := []any{px}
	if b.writer != "" {
		head = append(head, b.writer, "")
	}
	news := r.carried(ctx, b)
	size := 1 // the client of a cluster or a Ring sends a call to the node of its keys
	if r.single {
		size = scriptKeys
	}
	inParts(b.n, func(from, to int) {
		var calls []*scriptCall
		for i := from; i < to; i++ {
			if last := len(calls) - 1; last < 0 || len(calls[last].items) == size {
				calls = append(calls, &scriptCall{head: len(head), args: slices.Clone(head)})
			}
			c := calls[len(calls)-1]
			if errs[i] = b.add(c, i); errs[i] == nil {
				c.items = append(c.items, i)
			}
		}
		if calls = nonEmpty(calls); len(calls) > 0 && news != nil {
			calls[len(calls)-1].carry(news)
		}
		r.eval(ctx, b.script, calls, replies, errs)
	})
	var failed failures
	for i, err := range errs {
		if err != nil {
			failed.add(b.key(i), err)
		}
	}
	return replies, failed.err(b.op)
}

// eval sends calls in one pipeline, and puts the replies and errors of their items into replies and
// errs, by the index of the item.
func (r *GoRedisV9Adapter) eval(ctx context.Context, script *redis.Script, calls []*scriptCall, replies []any, errs []error) {
	r.send(ctx, calls, func(pipe redis.Pipeliner, c *scriptCall) *redis.Cmd {
		return script.EvalSha(ctx, pipe, c.keys, c.args...)
	})
	var unknown, refused []*scriptCall
	for _, c := range calls {
		if redis.HasErrorPrefix(c.reply.Err(), "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	if len(unknown) > 0 && len(unknown) < len(calls) {
		calls[len(calls)-1].news = nil // it may be published before the changes that are sent again
	}
	r.send(ctx, unknown, func(pipe redis.Pipeliner, c *scriptCall) *redis.Cmd {
		return script.Eval(ctx, pipe, c.keys, c.args...)
	})
	for _, c := range calls {
		if (len(c.items) > 1 || c.announces()) && isRefusalOfKeys(c.reply.Err()) {
			if redis.HasErrorPrefix(c.reply.Err(), "CROSSSLOT") {
				r.scattered.Store(true)
			}
			refused = append(refused, c.split()...)
			continue
		}
		c.take(replies, errs)
	}
	if len(refused) > 0 {
		if last := calls[len(calls)-1]; last.news != nil {
			last.news.Sent = false // it was published before the changes that are sent now
		}
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

// isRefusalOfKeys reports whether err may be about some keys of a call only: the keys are not in
// one slot of a cluster, or the server's ACL does not allow one of them.
func isRefusalOfKeys(err error) bool {
	return redis.HasErrorPrefix(err, "CROSSSLOT") || redis.HasErrorPrefix(err, "NOPERM")
}

// split returns a call for each item. None of them publishes anything.
func (c *scriptCall) split() []*scriptCall {
	calls := make([]*scriptCall, len(c.items))
	if c.announces() {
		c.args[c.head-1], c.keys, c.args = "", c.keys[:len(c.keys)-1], c.args[:len(c.args)-2]
	}
	keys, args := len(c.keys)/len(c.items), (len(c.args)-c.head)/len(c.items)
	for n, i := range c.items {
		calls[n] = &scriptCall{
			keys:  c.keys[n*keys : (n+1)*keys],
			head:  c.head,
			args:  slices.Concat(c.args[:c.head], c.args[c.head+n*args:c.head+(n+1)*args]),
			items: []int{i},
		}
	}
	return calls
}

var errReply = errors.New("remote: the server's reply to a script is not what the script returns")

// take puts the replies and errors of the call's items into replies and errs.
func (c *scriptCall) take(replies []any, errs []error) {
	answers, err := c.reply.Slice()
	if n := len(c.items); err == nil && len(answers) == n+1 && c.announces() {
		c.carried(answers[n])
		answers = answers[:n]
	}
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

// itemReply returns the reply for an item, or the item's error.
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
