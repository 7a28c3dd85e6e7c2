package remote

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// The members of a channel are a sorted set in the slot of the channel. The score of a member is when
// its time is over, in milliseconds of the server's clock. A set that nobody renews is gone after a
// day, or after the ttl of its newest member if that is longer.
//
// A failover may lose renewals. It also gives the channel's token a new nonce, which is a gap.

// attend renews members for ARGV[1] milliseconds, and replies with the tokens of their channels.
// KEYS are the token and the members of each channel. ARGV has for each channel the number of joining
// members, the number of staying members, and these members. The last argument is a random text.
//
// ZREMRANGEBYSCORE comes first also because a server that is out of memory lets a script write after
// it has removed something.
var attend = redis.NewScript(announceLua + `
local now = redis.call("time")
now = now[1] * 1000 + math.floor(now[2] / 1000)
local ttl, at, tokens = tonumber(ARGV[1]), 2, {}
for i = 1, #KEYS, 2 do
	local who, joining, staying = KEYS[i + 1], tonumber(ARGV[at]), tonumber(ARGV[at + 1])
	local step = redis.call("zremrangebyscore", who, "-inf", now) > 0 and 1 or 0
	for n = 1, joining + staying do
		local new = redis.call("zadd", who, string.format("%.0f", now + ttl), ARGV[at + 1 + n])
		if new == 1 and n > joining then
			step = 1
		end
	end
	if joining + staying > 0 then
		redis.call("pexpire", who, string.format("%.0f", math.max(ttl, 86400000)))
	end
	at = at + 2 + joining + staying
	local token, err = nextToken(KEYS[i], step)
	if not token then
		return {err = err}
	end
	tokens[#tokens + 1] = token
end
return tokens`)

// Attend calls a script: one for all channels on a single node, and one for each of them, in one
// pipeline, on a cluster or a Ring.
func (r *GoRedisV9Adapter) Attend(ctx context.Context, ttl time.Duration, attendances ...Attendance) ([]string, error) {
	px, err := positive(ttl)
	if err != nil || len(attendances) == 0 {
		return nil, err
	}
	items := make([]*scriptCall, len(attendances))
	for i, a := range attendances {
		if items[i], err = r.attendance(a); err != nil {
			return nil, err
		}
	}
	tokens, err := r.tokensBy(ctx, attend, items, px)
	if err != nil {
		return nil, attending("attending", attendances[0].Channel, err)
	}
	return tokens, nil
}

// attendance returns the keys and the arguments of the script for one channel.
func (r *GoRedisV9Adapter) attendance(a Attendance) (*scriptCall, error) {
	token, err := r.tokenKeyOf(a.Channel)
	if err != nil {
		return nil, err
	}
	c := &scriptCall{keys: []string{token, membersKey(a.Channel)}, args: []any{len(a.Joining), len(a.Staying)}}
	for _, members := range [][]string{a.Joining, a.Staying} {
		for _, m := range members {
			c.args = append(c.args, m)
		}
	}
	return c, nil
}

// tokensBy calls a script that replies with the tokens of items, and returns the tokens. The script
// gets head, the arguments of the items, and a random text.
func (r *GoRedisV9Adapter) tokensBy(ctx context.Context, script *redis.Script, items []*scriptCall, head ...any) ([]string, error) {
	if r.single && !r.scattered.Load() {
		tokens, err := r.runTokens(ctx, script, []*scriptCall{joined(items, head)}, len(items))
		if !redis.HasErrorPrefix(err, "CROSSSLOT") {
			return tokens, err
		}
		r.scattered.Store(true)
	}
	calls := make([]*scriptCall, len(items))
	for i := range items {
		calls[i] = joined(items[i:i+1], head)
	}
	return r.runTokens(ctx, script, calls, len(items))
}

// joined returns one call for items.
func joined(items []*scriptCall, head []any) *scriptCall {
	c := &scriptCall{args: slices.Clone(head)}
	for _, item := range items {
		c.keys, c.args = append(c.keys, item.keys...), append(c.args, item.args...)
	}
	c.args = append(c.args, rand.Text())
	return c
}

// runTokens sends calls of a script that replies with tokens, and returns all tokens: want
// is their number.
func (r *GoRedisV9Adapter) runTokens(ctx context.Context, script *redis.Script, calls []*scriptCall, want int) (tokens []string, err error) {
	r.send(ctx, calls, func(pipe redis.Pipeliner, c *scriptCall) *redis.Cmd {
		return script.EvalSha(ctx, pipe, c.keys, c.args...)
	})
	var unknown []*scriptCall
	for _, c := range calls {
		if redis.HasErrorPrefix(c.reply.Err(), "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	r.send(ctx, unknown, func(pipe redis.Pipeliner, c *scriptCall) *redis.Cmd {
		return script.Eval(ctx, pipe, c.keys, c.args...)
	})
	for _, c := range calls {
		some, err := c.reply.StringSlice()
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, some...)
	}
	if len(tokens) != want {
		return nil, errReply
	}
	return tokens, nil
}

// Leave removes members by ZREM.
func (r *GoRedisV9Adapter) Leave(ctx context.Context, channel string, members ...string) error {
	if _, err := r.tokenKeyOf(channel); err != nil || len(members) == 0 {
		return err
	}
	args := make([]any, len(members))
	for i, m := range members {
		args[i] = m
	}
	if err := r.client.ZRem(ctx, membersKey(channel), args...).Err(); err != nil {
		return attending("leaving", channel, err)
	}
	return nil
}

// membersKey is MembersKey of a channel that has a token.
func membersKey(channel string) string {
	key, _ := MembersKey(channel)
	return key
}

// attending returns the error of a call about the members of channel.
func attending(what, channel string, err error) error {
	if scriptRefused(err) {
		token, _ := tokenKey(channel)
		keys := []string{"~" + token, "~" + membersKey(channel)}
		err = fmt.Errorf("%w: the server's ACL does not allow it; grant the user +eval +evalsha +get +set +del +time +zadd +zrem +zremrangebyscore +pexpire and keys such as %s, as by ACL SETUSER: %w",
			ErrUnsupported, quote.Line(strings.Join(keys, " ")), err)
	}
	return fmt.Errorf("remote: %s the channel %s: %w", what, quote.Key(channel), err)
}
