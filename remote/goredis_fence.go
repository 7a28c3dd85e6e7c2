package remote

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

var _ Fencer = (*GoRedisV9Adapter)(nil)

// The value of a fence is its nonce. While it is closed, the value is "!" and the tokens under
// which it is closed, joined by ",".
const fenceLua = `
local ttl = ARGV[1]

local function isClosed(nonce)
	return nonce and string.sub(nonce, 1, 1) == "!"
end

local function extend(fence)
	local left = redis.call("pttl", fence)
	if left >= 0 and left < tonumber(ttl) then
		redis.call("pexpire", fence, ttl)
	end
end

-- A closed fence stays closed, and its lifetime does not change. was is the value of the fence.
local function renew(fence, was, fresh)
	if not isClosed(was) then
		redis.call("set", fence, fresh, "px", ttl)
	end
end
`

var openFences = itemScript(1, fenceLua+`
local function handle(i)
	local fence, fresh = KEYS[i], ARGV[i + 1]
	local was = redis.call("get", fence)
	if isClosed(was) then
		return was
	end
	if was then
		extend(fence)
		return was
	end
	redis.call("set", fence, fresh, "px", ttl)
	return fresh
end`)

// setFenced replies with a FenceOutcome. If the fence has the fresh nonce already, the item was
// stored by an earlier attempt: go-redis repeats a call whose reply was lost.
var setFenced = itemScript(2, fenceLua+`
local function handle(i)
	local value, fence = KEYS[2 * i - 1], KEYS[2 * i]
	local data, px, condition, nonce, fresh = unpack(ARGV, 5 * i - 3, 5 * i + 1)
	local was
	if nonce ~= "" or fresh ~= "" then
		was = redis.call("get", fence)
		if was and was == fresh then
			return 1
		end
	end
	if nonce ~= "" and (was ~= nonce or isClosed(was)) then
		return 2
	end
	local set = {"set", value, data}
	if px ~= "0" then
		set[4], set[5] = "px", px
	end
	if condition ~= "" then
		set[#set + 1] = condition
	end
	if not redis.call(unpack(set)) then
		return 3
	end
	if fresh ~= "" then
		renew(fence, was, fresh)
	end
	return 1
end`)

// The scripts that remove values do so first. A server that is out of memory allows that as the
// first write of a script, and then allows the other writes of the script, too.
var delFenced = itemScript(2, fenceLua+`
local function handle(i)
	local value, fence, fresh = KEYS[2 * i - 1], KEYS[2 * i], ARGV[i + 1]
	redis.call("del", value)
	renew(fence, redis.call("get", fence), fresh)
	return 1
end`)

var closeFences = itemScript(2, fenceLua+`
local function handle(i)
	local value, fence, token = KEYS[2 * i - 1], KEYS[2 * i], ARGV[i + 1]
	redis.call("del", value)
	local was = redis.call("get", fence)
	if not isClosed(was) then
		redis.call("set", fence, "!" .. token, "px", ttl)
		return 1
	end
	if not string.find("," .. string.sub(was, 2) .. ",", "," .. token .. ",", 1, true) then
		redis.call("set", fence, was .. "," .. token, "keepttl")
	end
	extend(fence)
	return 1
end`)

var reopenFences = itemScript(2, fenceLua+`
local function handle(i)
	local value, fence = KEYS[2 * i - 1], KEYS[2 * i]
	local token, fresh = ARGV[2 * i], ARGV[2 * i + 1]
	redis.call("del", value)
	local was = redis.call("get", fence)
	local others = {}
	if isClosed(was) then
		for other in string.gmatch(string.sub(was, 2), "[^,]+") do
			if other ~= token then
				others[#others + 1] = other
			end
		end
	end
	if #others == 0 then
		redis.call("set", fence, fresh, "px", ttl)
	else
		redis.call("set", fence, "!" .. table.concat(others, ","), "keepttl")
	end
	return 1
end`)

// OpenFences returns the nonces of keys, by a script. On a single node, each call of the script has
// up to 100 keys, otherwise one. The calls are sent in pipelines of up to 500 keys. The other
// methods for fences and leases work in the same way.
func (r *GoRedisV9Adapter) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	fresh := freshNonces(len(keys))
	replies, err := r.evalItems(ctx, itemBatch{
		op: "open fences", script: openFences, ttl: ttl, n: len(keys), key: at(keys),
		add: func(c *scriptCall, i int) error {
			fence, err := sideKeyOf(keys[i], FenceKey)
			if err != nil {
				return err
			}
			return c.add([]string{fence}, fresh[i])
		},
	})
	nonces := make([]string, len(keys))
	for i, reply := range replies {
		nonces[i], _ = reply.(string)
	}
	return nonces, err
}

// SetFenced stores items by a script, in the calls that OpenFences describes.
func (r *GoRedisV9Adapter) SetFenced(ctx context.Context, ttl time.Duration, items ...FencedItem) ([]FenceOutcome, error) {
	fresh := freshNonces(len(items))
	replies, err := r.evalItems(ctx, itemBatch{
		op: "set fenced", script: setFenced, ttl: ttl, n: len(items),
		key: func(i int) string { return items[i].Key },
		add: func(c *scriptCall, i int) error {
			item := items[i]
			expire, err := lifetime(item.Key, item.Expire)
			if err != nil {
				return err
			}
			condition, err := item.condition()
			if err != nil {
				return err
			}
			renewal := ""
			if item.Renew {
				renewal = fresh[i]
			}
			return c.addFenced(item.Key, item.Data, expire.Milliseconds(), condition, item.Nonce, renewal)
		},
	})
	outcomes := make([]FenceOutcome, len(items))
	for i, reply := range replies {
		if n, ok := reply.(int64); ok {
			outcomes[i] = FenceOutcome(n)
		}
	}
	return outcomes, err
}

// condition returns the option of SET for the condition of an item, "" if it has none.
func (f *FencedItem) condition() (string, error) {
	switch {
	case f.IfAbsent && f.IfPresent:
		return "", fmt.Errorf("remote: both IfAbsent and IfPresent are set for the key %s; choose one", quote.Key(f.Key))
	case f.IfAbsent:
		return "nx", nil
	case f.IfPresent:
		return "xx", nil
	}
	return "", nil
}

// DelFenced removes keys and renews their fences by a script, in the calls that OpenFences
// describes.
func (r *GoRedisV9Adapter) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	fresh := freshNonces(len(keys))
	_, err := r.evalItems(ctx, itemBatch{
		op: "del fenced", script: delFenced, ttl: ttl, n: len(keys), key: at(keys),
		add: func(c *scriptCall, i int) error { return c.addFenced(keys[i], fresh[i]) },
	})
	return err
}

// CloseFences removes keys and closes their fences by a script, in the calls that OpenFences
// describes.
func (r *GoRedisV9Adapter) CloseFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	invalid := checkFenceToken(token)
	_, err := r.evalItems(ctx, itemBatch{
		op: "close fences", script: closeFences, ttl: ttl, n: len(keys), key: at(keys),
		add: func(c *scriptCall, i int) error {
			if invalid != nil {
				return invalid
			}
			return c.addFenced(keys[i], token)
		},
	})
	return err
}

// ReopenFences removes keys and opens their fences by a script, in the calls that OpenFences
// describes.
func (r *GoRedisV9Adapter) ReopenFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	invalid := checkFenceToken(token)
	fresh := freshNonces(len(keys))
	_, err := r.evalItems(ctx, itemBatch{
		op: "reopen fences", script: reopenFences, ttl: ttl, n: len(keys), key: at(keys),
		add: func(c *scriptCall, i int) error {
			if invalid != nil {
				return invalid
			}
			return c.addFenced(keys[i], token, fresh[i])
		},
	})
	return err
}

// addFenced puts key and its fence into the call.
func (c *scriptCall) addFenced(key string, args ...any) error {
	fence, err := sideKeyOf(key, FenceKey)
	if err != nil {
		return err
	}
	return c.add([]string{key, fence}, args...)
}

// checkFenceToken returns an error for a token that CloseFences does not accept.
func checkFenceToken(token string) error {
	if token == "" || strings.ContainsAny(token, "!,") {
		return errors.New(`remote: a token that closes fences must be a text that is not empty and contains neither "!" nor ","`)
	}
	return nil
}

// at returns a function that returns keys by index.
func at(keys []string) func(i int) string { return func(i int) string { return keys[i] } }

// nonceBytes is the number of random bytes in a nonce, which has two hexadecimal digits for each.
const nonceBytes = 8

// freshNonces returns n nonces.
func freshNonces(n int) []string {
	random := make([]byte, n*nonceBytes)
	_, _ = rand.Read(random) // it returns no error: if it fails, crypto/rand ends the process
	digits := hex.EncodeToString(random)
	nonces := make([]string, n)
	for i := range nonces {
		nonces[i] = digits[2*nonceBytes*i : 2*nonceBytes*(i+1)]
	}
	return nonces
}
