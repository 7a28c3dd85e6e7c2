package remote

import (
	"context"
	"errors"
	"strings"
	"time"
)

var _ Leaser = (*GoRedisV9Adapter)(nil)

// A lease holds "h:" and the token of who has it, or "w:" and the token if somebody else wants
// it, or "f:", the token of who had it, ":" and why there is nothing to store. Tokens have no
// ":". What is none of these is as nothing.

// acquireLeases answers with a LeaseState, and the holder or the failure. A lease that is held
// by who asks is won: the client sends a call again whose reply it has lost.
var acquireLeases = itemScript(2, `
local function handle(i)
	local value, lease = KEYS[2 * i - 1], KEYS[2 * i]
	local token, awaited = ARGV[2 * i], ARGV[2 * i + 1]
	if redis.call("exists", value) == 1 then
		return {4, ""}
	end
	local was = redis.call("get", lease) or ""
	local state, rest = string.sub(was, 1, 2), string.sub(was, 3)
	if state == "h:" or state == "w:" then
		if rest == token then
			return {1, ""}
		end
		if state == "h:" then
			redis.call("set", lease, "w:" .. rest, "keepttl")
		end
		return {2, rest}
	end
	if state == "f:" and awaited ~= "" and string.sub(rest, 1, #awaited + 1) == awaited .. ":" then
		return {3, string.sub(rest, #awaited + 2)}
	end
	redis.call("set", lease, "h:" .. token, "px", ARGV[1])
	return {1, ""}
end`)

// releaseLeases answers with 1 if somebody has asked for the lease, and with 0 if not, or if it
// was not held.
var releaseLeases = itemScript(1, `
local function handle(i)
	local lease, token, failure = KEYS[i], ARGV[2 * i], ARGV[2 * i + 1]
	local was = redis.call("get", lease)
	if was == "w:" .. token and failure ~= "" then
		redis.call("set", lease, "f:" .. token .. ":" .. failure, "px", ARGV[1])
		return 1
	end
	if was == "w:" .. token or was == "h:" .. token then
		redis.call("del", lease)
	end
	return was == "w:" .. token and 1 or 0
end`)

// AcquireLeases tries to take leases by a script, as OpenFences works.
func (r *GoRedisV9Adapter) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...LeaseAsk) ([]LeaseAnswer, error) {
	key := func(i int) string { return asks[i].Key }
	replies, err := r.evalItems(ctx, "acquire leases", acquireLeases, ttl, len(asks), key, func(c *scriptCall, i int) error {
		return c.addLease(asks[i].Key, true, asks[i].Token, asks[i].Awaited)
	})
	answers := make([]LeaseAnswer, len(asks))
	for i, reply := range replies {
		answers[i] = leaseAnswer(reply)
	}
	return answers, err
}

func leaseAnswer(reply any) (a LeaseAnswer) {
	both, _ := reply.([]any)
	if len(both) != 2 {
		return a
	}
	state, _ := both[0].(int64)
	text, _ := both[1].(string)
	switch a.State = LeaseState(state); a.State {
	case LeaseHeld:
		a.Holder = text
	case LeaseFailed:
		a.Failure = text
	}
	return a
}

// ReleaseLeases gives back leases by a script, as OpenFences works.
func (r *GoRedisV9Adapter) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...LeaseEnd) ([]bool, error) {
	key := func(i int) string { return ends[i].Key }
	replies, err := r.evalItems(ctx, "release leases", releaseLeases, ttl, len(ends), key, func(c *scriptCall, i int) error {
		return c.addLease(ends[i].Key, false, ends[i].Token, ends[i].Failure)
	})
	wanted := make([]bool, len(ends))
	for i, reply := range replies {
		wanted[i] = reply == int64(1)
	}
	return wanted, err
}

var errLeaseToken = errors.New(`remote: the token of a lease must be a text without ":"`)

// addLease puts the lease of key into the call, behind the key itself if that is wanted.
func (c *scriptCall) addLease(key string, withKey bool, token, arg string) error {
	if token == "" || strings.Contains(token, ":") {
		return errLeaseToken
	}
	lease, err := siblingOf(key, LeaseKey)
	if err != nil {
		return err
	}
	if withKey {
		return c.add([]string{key, lease}, token, arg)
	}
	return c.add([]string{lease}, token, arg)
}
