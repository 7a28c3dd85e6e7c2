package remote

import "github.com/redis/go-redis/v9"

// The value of a fence is its state and its history, with a ";" in between.
//
// The state of an open fence is its nonce: the stamp of the change that made it, ".", and a number.
// The number is one more than that of the nonce before it. If there was none, it is the server's time
// in microseconds. So a nonce never comes back, also if a change is carried out twice: go-redis sends
// a call again when its reply was lost, and the network may deliver the first attempt late, even
// after the fence has expired. The state of a closed fence is "!" and the tokens under which it is
// closed, joined by ",".
//
// The history has the newest change of each of the last writers, the newest first, joined by ";". A
// stamp is a writer, "-", and a number that grows with each change of the writer. A change that is
// not newer than the history is a late attempt: it must do nothing, as newer changes may have come
// since. A writer is an adapter.
const fenceLua = `
local ttl, writer = ARGV[1], ARGV[2]
local maxWriters = 16

local function isClosed(state)
	return state and string.sub(state, 1, 1) == "!"
end

-- state is nil if there is no fence.
local function read(fence)
	local value = redis.call("get", fence)
	if not value then
		return nil, ""
	end
	return string.match(value, "^([^;]*);?(.*)$")
end

local function extend(fence, ttl)
	local left = redis.call("pttl", fence)
	if left >= 0 and left < tonumber(ttl) then
		redis.call("pexpire", fence, ttl)
	end
end

local function nonceAfter(state, stamp)
	local number = tonumber(string.match(state or "", "%.(%d+)$") or "")
	if not number then
		local now = redis.call("time")
		number = now[1] * 1000000 + now[2]
	end
	return string.format("%s.%.0f", stamp, number + 1)
end

-- The number of the writer's newest change, 0 if none is known.
local function newest(history)
	return tonumber(string.match(";" .. history .. ";", ";" .. writer .. "%-(%d+);") or "0")
end

-- mark is what the loads that are under way know of this server, beside the nonce.
local function mark()
	local info = redis.pcall("info", "replication")
	return type(info) == "string" and string.match(info, "master_replid:(%x+)") or ""
end

-- The nonce of the fence, and the mark; or the tokens under which it is closed.
local function open(fence, number, ttl)
	local state = read(fence)
	if isClosed(state) then
		return state
	end
	if state then
		extend(fence, ttl)
	else
		state = nonceAfter(nil, writer .. "-" .. number)
		redis.call("set", fence, state, "px", ttl)
	end
	return state .. "@" .. mark()
end

local function put(fence, state, history, stamp, ...)
	local kept, own = {stamp}, writer .. "-"
	for other in string.gmatch(history, "[^;]+") do
		if #kept < maxWriters and string.sub(other, 1, #own) ~= own then
			kept[#kept + 1] = other
		end
	end
	redis.call("set", fence, state .. ";" .. table.concat(kept, ";"), ...)
end

-- A closed fence stays closed, and its lifetime does not change.
local function renew(fence, state, history, stamp)
	if isClosed(state) then
		put(fence, state, history, stamp, "keepttl")
	else
		put(fence, nonceAfter(state, stamp), history, stamp, "px", ttl)
	end
end
`

// fenceScript makes a script for the fences of items. In body, they have the arguments that handle
// takes after i.
func fenceScript(keys int, body string) *redis.Script { return changeScript(keys, fenceLua+body) }

// A load gets the nonce, "@" and the server's replication id. If a replica is promoted, or if a
// master starts again from a snapshot, newer nonces may be lost, and an old one may be back. Then the
// replication id is another one: https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
var openFences = fenceScript(1, `
local function handle(i, number)
	return open(KEYS[i], number, ttl)
end`)

// setFenced and setReleased reply with a FenceOutcome. The items of setReleased have a third key, their
// lease.
var setFenced, setReleased = fenceScript(2, setFencedLua), fenceScript(3, setFencedLua)

const setFencedLua = releaseLua + `
local function released(lease, token)
	local ok, state = pcall(release, lease, token, "")
	if not ok then
		return 1
	end
	return state == "w:" and 5 or 4
end

local function handle(i, data, px, condition, nonce, number, token)
	local value, fence = KEYS[width * (i - 1) + 1], KEYS[width * (i - 1) + 2]
	local state, history
	if nonce ~= "" or number ~= "" then
		state, history = read(fence)
	end
	if number ~= "" then
		local last = newest(history)
		if last == tonumber(number) then -- stored by an earlier attempt
			return 1
		elseif last > tonumber(number) then
			-- A later change of this writer came first. A given value counts as stored before it.
			return nonce == "" and condition == "" and 1 or 2
		end
	end
	if nonce ~= "" and (isClosed(state) or not state or state .. "@" .. mark() ~= nonce) then
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
	if number ~= "" then
		renew(fence, state, history, writer .. "-" .. number)
	end
	if token ~= "" then
		return released(KEYS[width * i], token)
	end
	return 1
end`

// The scripts that remove values do so first. A server that is out of memory allows that as the
// first write of a script, and then allows the other writes of the script, too. A fence that is not
// a string must not keep the value: pcall reports that after the removal.
var delFenced = fenceScript(2, `
local function handle(i, number)
	local value, fence = KEYS[2 * i - 1], KEYS[2 * i]
	local ok, state, history = pcall(read, fence)
	if ok and newest(history) >= tonumber(number) then
		return 1
	end
	redis.call("del", value)
	if not ok then
		error(state)
	end
	renew(fence, state, history, writer .. "-" .. number)
	return 1
end`)

var closeFences = fenceScript(2, `
local function handle(i, token, number)
	local value, fence, stamp = KEYS[2 * i - 1], KEYS[2 * i], writer .. "-" .. number
	local ok, state, history = pcall(read, fence)
	if ok and newest(history) >= tonumber(number) then
		return 1
	end
	redis.call("del", value)
	if not ok then
		error(state)
	end
	if not isClosed(state) then
		put(fence, "!" .. token, history, stamp, "px", ttl)
		return 1
	end
	if not string.find("," .. string.sub(state, 2) .. ",", "," .. token .. ",", 1, true) then
		state = state .. "," .. token
	end
	put(fence, state, history, stamp, "keepttl")
	extend(fence, ttl)
	return 1
end`)

// reopenFences replies with 1 if the fence was closed under the token, and with 0 if it was not.
var reopenFences = fenceScript(2, `
local function handle(i, token, number)
	local value, fence, stamp = KEYS[2 * i - 1], KEYS[2 * i], writer .. "-" .. number
	local ok, state, history = pcall(read, fence)
	if ok and newest(history) >= tonumber(number) then
		return 1
	end
	redis.call("del", value)
	if not ok then
		error(state)
	end
	local others, held = {}, 0
	if isClosed(state) then
		for other in string.gmatch(string.sub(state, 2), "[^,]+") do
			if other == token then
				held = 1
			else
				others[#others + 1] = other
			end
		end
	end
	if #others > 0 then
		put(fence, "!" .. table.concat(others, ","), history, stamp, "keepttl")
	else
		put(fence, nonceAfter(state, stamp), history, stamp, "px", ttl)
	end
	return held
end`)
