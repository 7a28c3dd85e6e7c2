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
// The history has the newest change of each of the last writers, the newest first, joined by ";": its
// stamp, and "!" if it was refused. A stamp is a writer, "-", and a number that grows with each change of
// the writer. A change that is older than that of the history does nothing, as newer changes may have
// come since. Either it is a late attempt, whose reply nobody reads, or it has crossed a later change.
// Then the adapter sends it again with a new number. A writer is an adapter.
const fenceLua = `
local ttl, writer = ARGV[1], ARGV[2]
local maxWriters = 32
local done, notHeld = 1, 0
local nonceDiffers, conditionFailed, released, wanted, crossed = 2, 3, 4, 5, 6 -- but 6, they are FenceOutcomes

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

-- The number of the writer's newest change, 0 if none is known, and whether it was refused.
local function newest(history)
	local number, refused = string.match(";" .. history .. ";", ";" .. writer .. "%-(%d+)(!?);")
	return tonumber(number or "0"), refused == "!"
end

-- What an attempt of the change replies if a change of this writer was made that is not older: again,
-- or refused if it was refused, if it was the same change.
local function before(history, number, again, refused)
	local last, wasRefused = newest(history)
	if last > tonumber(number) then
		return crossed
	elseif last == tonumber(number) then
		return wasRefused and refused or again
	end
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

-- refuse notes a change that was refused. The nonce stays as it is.
local function refuse(fence, state, history, stamp)
	if state then
		put(fence, state, history, stamp, "keepttl")
		extend(fence, isClosed(state) and 0 or ttl)
	else
		put(fence, nonceAfter(nil, writer), history, stamp, "px", ttl)
	end
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
local function storedAndReleased(lease, token)
	local ok, state = pcall(release, lease, token, "")
	if not ok then
		return done
	end
	return state == "w:" and wanted or released
end

local function handle(i, data, px, condition, nonce, number, token)
	local value, fence = KEYS[width * (i - 1) + 1], KEYS[width * (i - 1) + 2]
	local state, history
	if nonce ~= "" or number ~= "" then
		state, history = read(fence)
	end
	if number ~= "" then
		local reply = before(history, number, done, conditionFailed)
		if reply then
			return reply
		end
	end
	if nonce ~= "" and (isClosed(state) or not state or state .. "@" .. mark() ~= nonce) then
		return nonceDiffers
	end
	local set = {"set", value, data}
	if px ~= "0" then
		set[4], set[5] = "px", px
	end
	if condition ~= "" then
		set[#set + 1] = condition
	end
	if not redis.call(unpack(set)) then
		if number ~= "" then -- a late attempt must not find that the condition holds now
			refuse(fence, state, history, writer .. "-" .. number .. "!")
		end
		return conditionFailed
	end
	if number ~= "" then
		renew(fence, state, history, writer .. "-" .. number)
	end
	if token ~= "" then
		return storedAndReleased(KEYS[width * i], token)
	end
	return done
end`

// removeLua is Lua that defines remove(value, fence, number), for the scripts that remove values. It
// returns the reply if the change was made before, or has crossed a later one. Otherwise it removes
// the value, and returns nil and what the fence holds.
//
// It removes the value before anything else is written. A server that is out of memory allows that as
// the first write of a script, and then allows the other writes of the script, too. A fence that is not
// a string must not keep the value: pcall reports that after the removal.
const removeLua = `
local function remove(value, fence, number)
	local ok, state, history = pcall(read, fence)
	local reply = ok and before(history, number, done, notHeld)
	if reply then
		return reply
	end
	redis.call("del", value)
	if not ok then
		error(state)
	end
	return nil, state, history
end
`

var delFenced = fenceScript(2, removeLua+`
local function handle(i, number)
	local value, fence = KEYS[2 * i - 1], KEYS[2 * i]
	local reply, state, history = remove(value, fence, number)
	if reply then
		return reply
	end
	renew(fence, state, history, writer .. "-" .. number)
	return done
end`)

var closeFences = fenceScript(2, removeLua+`
local function handle(i, token, number)
	local value, fence, stamp = KEYS[2 * i - 1], KEYS[2 * i], writer .. "-" .. number
	local reply, state, history = remove(value, fence, number)
	if reply then
		return reply
	end
	if not isClosed(state) then
		put(fence, "!" .. token, history, stamp, "px", ttl)
		return done
	end
	if not string.find("," .. string.sub(state, 2) .. ",", "," .. token .. ",", 1, true) then
		state = state .. "," .. token
	end
	put(fence, state, history, stamp, "keepttl")
	extend(fence, ttl)
	return done
end`)

// reopenFences replies with 1 if the fence was closed under the token, and with 0 if it was not.
var reopenFences = fenceScript(2, removeLua+`
local function handle(i, token, number)
	local value, fence, stamp = KEYS[2 * i - 1], KEYS[2 * i], writer .. "-" .. number
	local reply, state, history = remove(value, fence, number)
	if reply then
		return reply
	end
	local others, held = {}, notHeld
	if isClosed(state) then
		for other in string.gmatch(string.sub(state, 2), "[^,]+") do
			if other == token then
				held = done
			else
				others[#others + 1] = other
			end
		end
	end
	if held == notHeld then
		stamp = stamp .. "!"
	end
	if #others > 0 then
		put(fence, "!" .. table.concat(others, ","), history, stamp, "keepttl")
	else
		put(fence, nonceAfter(state, writer .. "-" .. number), history, stamp, "px", ttl)
	end
	return held
end`)
