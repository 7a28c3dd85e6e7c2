package remote

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

var _ Leaser = (*GoRedisV9Adapter)(nil)

// A lease has one of these values:
//
//   - "h:" and a token: the token holds the lease.
//   - "w:" and a token: the token holds the lease, and another token has asked for it (it is wanted).
//   - "h:" or "w:", a token, ":" and another token: the same, and the value that the other token
//     loaded before was not stored.
//   - "f:", a token, ":" and a text: the token has released the lease with this failure.
//   - "n:" and a token: the token has released the lease, and the value that it loaded was not stored.
//
// A token contains no ":". A lease with any other value counts as absent.
//
// Nodes of earlier versions do not know "n:": for them the lease is absent, so they win it, and load
// one after another as they always did. If a lease has two tokens, they take both together for the
// holder, for which they wait. They do not see the failure of this holder, and load then.

// acquireLeases and acquireFenced reply with a LeaseState, and with the holder or the failure. A token
// that holds the lease wins it again: go-redis repeats a call whose reply was lost. The items of
// acquireFenced have a third key, their fence: acquireFenced opens it if the lease was won, and replies
// with its nonce.
var acquireLeases, acquireFenced = itemScript(2, acquireLua), fenceScript(3, acquireLua)

const acquireLua = `
local function won(i, number, fenceTTL)
	if width == 2 then
		return {1, ""}
	end
	local ok, nonce = pcall(open, KEYS[3 * i], number, fenceTTL)
	return {1, "", ok and nonce or ""}
end

local function handle(i, token, awaited, number, fenceTTL)
	local value, lease = KEYS[width * (i - 1) + 1], KEYS[width * (i - 1) + 2]
	if redis.call("exists", value) == 1 then
		return {4, ""}
	end
	local was = redis.call("get", lease) or ""
	local state, rest = string.sub(was, 1, 2), string.sub(was, 3)
	if state == "h:" or state == "w:" then
		local holder, before = string.match(rest, "^([^:]*):?(.*)$")
		if holder == token then
			return won(i, number, fenceTTL)
		end
		if awaited ~= "" and before == awaited then
			return {5, ""}
		end
		if state == "h:" then
			redis.call("set", lease, "w:" .. rest, "keepttl")
		end
		return {2, holder}
	end
	local passed = ""
	if state == "n:" then
		if awaited ~= "" and rest == awaited then
			return {5, ""}
		end
		passed = ":" .. rest
	end
	if state == "f:" and awaited ~= "" and string.sub(rest, 1, #awaited + 1) == awaited .. ":" then
		return {3, string.sub(rest, #awaited + 2)}
	end
	redis.call("set", lease, "h:" .. token .. passed, "px", ARGV[1])
	return won(i, number, fenceTTL)
end`

// releaseLua is Lua that defines release(lease, token, left). It returns the state of the lease if
// token holds it, and removes the lease, or puts left there if the lease is wanted.
const releaseLua = `
local function release(lease, token, left)
	local state, holder = string.match(redis.call("get", lease) or "", "^([hw]:)([^:]*)")
	if holder ~= token then
		return ""
	end
	if state == "w:" and left ~= "" then
		redis.call("set", lease, left, "px", ARGV[1])
	else
		redis.call("del", lease)
	end
	return state
end
`

// releaseLeases replies with 1 if the lease was wanted, and with 0 if it was not, or if the token
// did not hold it.
var releaseLeases = itemScript(1, releaseLua+`
local function handle(i, token, left)
	return release(KEYS[i], token, left) == "w:" and 1 or 0
end`)

// leftBy returns the value that an end leaves in a lease which is wanted, "" if it removes the lease.
func leftBy(end LeaseEnd) string {
	switch {
	case end.Failure != "":
		return "f:" + end.Token + ":" + end.Failure
	case end.NotStored:
		return "n:" + end.Token
	}
	return ""
}

// AcquireLeases asks for leases by a script, in the calls that OpenFences describes. If one of asks
// has a FenceTTL, the script also opens the fences of the keys whose leases are won.
func (r *GoRedisV9Adapter) AcquireLeases(ctx context.Context, ttl time.Duration, asks ...LeaseAsk) ([]LeaseAnswer, error) {
	b := itemBatch{
		op: "acquire leases", script: acquireLeases, ttl: ttl, n: len(asks),
		key: func(i int) string { return asks[i].Key },
		add: func(c *scriptCall, i int) error {
			lease, err := leaseFor(asks[i].Key, asks[i].Token)
			if err != nil {
				return err
			}
			return c.add([]string{asks[i].Key, lease}, asks[i].Token, asks[i].Awaited)
		},
	}
	if slices.ContainsFunc(asks, func(a LeaseAsk) bool { return a.FenceTTL > 0 }) {
		first := r.fences.numbers(len(asks))
		b.script, b.writer = acquireFenced, r.fences.name
		b.add = func(c *scriptCall, i int) error {
			lease, err := leaseFor(asks[i].Key, asks[i].Token)
			if err != nil {
				return err
			}
			fence, err := sideKeyOf(asks[i].Key, FenceKey)
			if err != nil {
				return err
			}
			px, err := positive(asks[i].FenceTTL)
			if err != nil {
				return err
			}
			return c.add([]string{asks[i].Key, lease, fence}, asks[i].Token, asks[i].Awaited, first+uint64(i), px)
		}
	}
	replies, err := r.evalItems(ctx, b)
	answers := make([]LeaseAnswer, len(asks))
	for i, reply := range replies {
		answers[i] = leaseAnswer(reply)
	}
	return answers, err
}

func leaseAnswer(reply any) (a LeaseAnswer) {
	parts, _ := reply.([]any)
	if len(parts) < 2 {
		return a
	}
	state, _ := parts[0].(int64)
	text, _ := parts[1].(string)
	if len(parts) > 2 {
		a.Nonce, _ = parts[2].(string)
	}
	switch a.State = LeaseState(state); a.State {
	case LeaseHeld:
		a.Holder = text
	case LeaseFailed:
		a.Failure = text
	case LeaseUnknown, LeaseWon, LeaseStored, LeaseNotStored: // nothing belongs to these
	}
	return a
}

// ReleaseLeases releases leases by a script, in the calls that OpenFences describes.
func (r *GoRedisV9Adapter) ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...LeaseEnd) ([]bool, error) {
	replies, err := r.evalItems(ctx, itemBatch{
		op: "release leases", script: releaseLeases, ttl: ttl, n: len(ends),
		key: func(i int) string { return ends[i].Key },
		add: func(c *scriptCall, i int) error {
			lease, err := leaseFor(ends[i].Key, ends[i].Token)
			if err != nil {
				return err
			}
			return c.add([]string{lease}, ends[i].Token, leftBy(ends[i]))
		},
	})
	wanted := make([]bool, len(ends))
	for i, reply := range replies {
		wanted[i] = reply == int64(1)
	}
	return wanted, err
}

var errLeaseToken = errors.New(`remote: the token of a lease must be a text without ":"`)

// leaseFor checks token, and returns the key of key's lease.
func leaseFor(key, token string) (string, error) {
	if token == "" || strings.Contains(token, ":") {
		return "", errLeaseToken
	}
	return sideKeyOf(key, LeaseKey)
}
