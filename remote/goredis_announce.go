package remote

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// The token of a channel is a key in the hash slot of the channel. It is the number of the newest
// message and a nonce, "18000000000000.0123456789abcdef". It begins with a number of the server's
// time and a fresh nonce, and so it does again if the key was lost: a number and nonce that were used
// before do not come back. The nonce ends in the beginning of the server's replication id. So it is a
// new one after a failover, as the new master may lack messages of the old one. A number stays below
// 10^14, as Lua writes larger ones with an exponent.

// announceLua is Lua that defines three functions for scripts. None of them raises an error.
//
//   - mark() names the history of this server: its replication id, or "" if the user may not ask for
//     it. It changes when a replica is promoted, and when a master starts again.
//   - nextToken(tokenKey, step) adds step, 0 or 1, to the token at tokenKey, and returns the token.
//     It makes a token if there is none.
//   - announce(tokenKey, channel, message) publishes message with the next token: message is a JSON
//     object with one field at least, and gets the field "Token". It returns the token. A fourth
//     argument replaces the command "publish".
//
// If a function fails, it returns nil and the text of the error. If the server refuses to publish,
// the token stays as it is. Effects are replicated, so the scripts may ask for the time.
const announceLua = `
local tokenLife = "2592000000" -- 30 days, in milliseconds
local lastNumber = 99999999999998

local function putToken(tokenKey, token)
	if not pcall(redis.call, "set", tokenKey, token, "px", tokenLife) then
		-- A server that is out of memory lets a script write after it has removed something.
		redis.call("del", tokenKey)
		redis.call("set", tokenKey, token, "px", tokenLife)
	end
end

local known
local function mark()
	if not known then
		local info = redis.pcall("info", "replication")
		known = type(info) == "string" and string.match(info, "master_replid:(%x+)") or ""
	end
	return known
end

local function stepToken(tokenKey, step)
	local was = redis.call("get", tokenKey) or ""
	local number, nonce = string.match(was, "^(%d+)%.(%w+)$")
	local ending = string.sub(mark(), 1, 8)
	number = tonumber(number)
	if not number or number > lastNumber or string.sub(nonce, -#ending) ~= ending and ending ~= "" then
		local now = redis.call("time")
		number = now[1] * 10000 + math.floor(now[2] / 100)
		nonce = string.sub(redis.sha1hex(now[1] .. "." .. now[2] .. tostring(ARGV[#ARGV])), 1, 16 - #ending) .. ending
		was = ""
	end
	local token = string.format("%.0f", number + step) .. "." .. nonce
	if token ~= was then
		putToken(tokenKey, token)
	end
	return token, was
end

local function nextToken(tokenKey, step)
	local ok, token = pcall(stepToken, tokenKey, step)
	if ok then
		return token
	end
	return nil, tostring(type(token) == "table" and token.err or token)
end

local function announce(tokenKey, channel, message, command)
	local ok, token, was = pcall(stepToken, tokenKey, 1)
	if ok then
		local stepped = token
		ok, token = pcall(redis.call, command or "publish", channel,
			string.sub(message, 1, -2) .. ',"Token":"' .. stepped .. '"}')
		if ok then
			return stepped
		elseif was ~= "" then
			pcall(putToken, tokenKey, was)
		end
	end
	return nil, tostring(type(token) == "table" and token.err or token)
end
`

// publishNext publishes on channel ARGV[1] by the command ARGV[2] all other arguments but the last
// one, which is a random text. KEYS[1] is the token. Without messages it adds one to the token.
var publishNext = redis.NewScript(announceLua + `
if #ARGV == 3 then
	local token, err = nextToken(KEYS[1], 1)
	return token or {err = err}
end
for i = 3, #ARGV - 1 do
	local token, err = announce(KEYS[1], ARGV[1], ARGV[i], ARGV[2])
	if not token then
		return {err = err}
	end
end
return #ARGV - 3`)

// readTokens replies with the tokens at KEYS, and makes those that are missing. The last argument
// is a random text.
var readTokens = redis.NewScript(announceLua + `
local tokens = {}
for i = 1, #KEYS do
	local token, err = nextToken(KEYS[i], 0)
	if not token then
		return {err = err}
	end
	tokens[i] = token
end
return tokens`)

// tokenKey returns the key of channel's token.
func tokenKey(channel string) (string, error) {
	key, ok := TokenKey(channel)
	if !ok {
		return "", fmt.Errorf("%w: the channel %s has no token: %w", ErrUnsupported, quote.Key(channel), ErrNoSibling)
	}
	return key, nil
}

// Carries reports whether the scripts that change keys can publish on channel: the client speaks to
// one node, so the keys and the channel are on the same one.
func (r *GoRedisV9Adapter) Carries(channel string) bool {
	_, err := tokenKey(channel)
	return r.single && !r.scattered.Load() && err == nil
}

// PublishNext publishes messages by a script, with the command that Publish would use.
func (r *GoRedisV9Adapter) PublishNext(ctx context.Context, channel string, messages ...[]byte) error {
	key, err := r.tokenKeyOf(channel)
	if err != nil {
		return err
	}
	publish := func(command string) error {
		args := make([]any, 0, len(messages)+3)
		args = append(args, channel, command)
		for _, m := range messages {
			args = append(args, m)
		}
		return publishNext.Run(ctx, r.client, []string{key}, append(args, rand.Text())...).Err()
	}
	if _, cluster := r.client.(clusterClient); cluster && !r.plainPublish && !r.unsharded.Load() {
		err := publish("spublish")
		if !unknownCommand(err) {
			return announcing("spublish", channel, err)
		}
		r.unsharded.Store(true) // for good: PUBLISH reaches all subscribers, too
	}
	return announcing("publish", channel, publish("publish"))
}

func (r *GoRedisV9Adapter) tokenKeyOf(channel string) (string, error) {
	if _, queued := r.client.(*redis.Pipeline); queued {
		return "", r.cannot("PublishNext and Tokens")
	}
	return tokenKey(channel)
}

// announcing returns the error of a script that publishes with a token.
func announcing(command, channel string, err error) error {
	switch {
	case err == nil:
		return nil
	case scriptRefused(err):
		key, _ := tokenKey(channel)
		err = fmt.Errorf("%w: the server's ACL does not allow it; grant the user +eval +evalsha +get +set +del +time +%s, the key %s and the channel &%s, as by ACL SETUSER: %w",
			ErrUnsupported, command, quote.Line("~"+key), quote.Line(channel), err)
	}
	return fmt.Errorf("remote: publishing on %s: %w", quote.Key(channel), err)
}

// scriptRefused reports whether the server's ACL does not allow a script, or a command in it, or
// whether the server has no scripts. Redis names commands in scripts in other words than others:
// "ERR The user executing the script can't …" (7.0) and "ACL failure in script" (7.2).
func scriptRefused(err error) bool {
	if !isReply(err) {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "NOPERM") || strings.Contains(text, "The user executing the script") ||
		strings.Contains(text, "ACL failure in script") || unknownCommand(err)
}

// Tokens reads the tokens by MGET from a single node, in one round trip. On a cluster or a Ring, and
// for channels whose tokens it has not read yet, it calls a script, in one pipeline.
func (r *GoRedisV9Adapter) Tokens(ctx context.Context, channels ...string) ([]string, error) {
	keys := make([]string, len(channels))
	known := r.single && !r.scattered.Load()
	for i, channel := range channels {
		var err error
		if keys[i], err = r.tokenKeyOf(channel); err != nil {
			return nil, err
		}
		_, ok := r.tokened.Load(channel)
		known = known && ok
	}
	if len(channels) == 0 {
		return nil, nil
	}
	if known {
		tokens, all, err := r.readTokens(ctx, keys)
		switch {
		case redis.HasErrorPrefix(err, "CROSSSLOT"):
			r.scattered.Store(true)
		case err != nil || all:
			return tokens, tokensErr(channels, err)
		}
	}
	items := make([]*scriptCall, len(keys))
	for i, key := range keys {
		items[i] = &scriptCall{keys: []string{key}}
	}
	tokens, err := r.tokensBy(ctx, readTokens, items)
	if err != nil {
		return nil, tokensErr(channels, err)
	}
	for _, channel := range channels {
		r.tokened.Store(channel, true)
	}
	return tokens, nil
}

func tokensErr(channels []string, err error) error {
	switch {
	case err == nil:
		return nil
	case scriptRefused(err):
		key, _ := tokenKey(channels[0])
		err = fmt.Errorf("%w: the server's ACL does not allow it; grant the user +mget +get +set +del +time +eval +evalsha and keys such as %s, as by ACL SETUSER: %w", ErrUnsupported, quote.Line("~"+key), err)
	}
	return fmt.Errorf("remote: reading the tokens of %s: %w", quote.Keys(channels), err)
}

// readTokens reads the tokens at keys. It reports false if one is missing.
func (r *GoRedisV9Adapter) readTokens(ctx context.Context, keys []string) (tokens []string, all bool, err error) {
	values, err := r.client.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, false, err
	}
	tokens = make([]string, len(values))
	for i, v := range values {
		text, ok := v.(string)
		if !ok {
			return nil, false, nil
		}
		tokens[i] = text
	}
	return tokens, true, nil
}

// carried returns the announcement that a batch can carry, nil if there is none. A batch of several
// pipelines cannot carry one: they are sent at the same time, and the message must come last.
func (r *GoRedisV9Adapter) carried(ctx context.Context, b itemBatch) *Announcement {
	news := announcementIn(ctx)
	if news == nil || !b.changes {
		return nil
	}
	news.Sent, news.Err = false, nil // an earlier call may have published it, before the changes of this one
	if b.n > pipelineSize || !r.Carries(news.Channel) {
		return nil
	}
	return news
}

// carry makes the call publish news. It is the last of its pipeline. The script must be a
// changeScript.
func (c *scriptCall) carry(news *Announcement) {
	key, err := tokenKey(news.Channel)
	if err != nil { // Carries has said that there is one
		return
	}
	c.news = news
	c.args[c.head-1] = news.Channel
	c.keys = append(c.keys, key)
	c.args = append(c.args, news.Message, rand.Text())
}

// announces reports whether the call publishes a message.
func (c *scriptCall) announces() bool {
	channel, ok := c.args[c.head-1].(string)
	return ok && channel != ""
}

// carried notes the reply about the announcement.
func (c *scriptCall) carried(reply any) {
	if c.news == nil {
		return
	}
	if _, err := itemReply(reply); err != nil {
		c.news.Err = announcing("publish", c.news.Channel, err)
		return
	}
	c.news.Sent, c.news.Err = true, nil
}
