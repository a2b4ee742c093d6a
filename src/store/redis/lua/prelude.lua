--[[
prelude: what all scripts share; it stands between the first line of a script and its body.

KEYS
  1  prefix of all keys of the partition, "{ts:NS:0}:"; src/store/redis/keys.rs lists the keys, and
     says why nothing may be kept under the prefix itself
  2  a key to write to before all else, if the caller then waits for replicas

ARGV
  1  now, us    "" in production: the server's clock is used

REPLY   none
GUARDS  none by itself
COST    one TIME
WHY     us never pass through tostring, which yields 1.7e+15. They are written in two halves that fit
        into 32 bits, which takes a fourth of the time that %.0f does. The clock's two numbers are read
        apart, because sixteen digits at once take most of the time of a command.
        ARGV is read often, and a local is found sooner than a global.
        A repeat that finds its work done writes nothing else, and WAIT would answer for an older
        write.
        Each function here is made anew at each call of a script, which takes longer than most
        commands do. So what is only needed by some stands in files of its own, and a script
        includes them where it first needs them, behind what it does in the usual case.
]]
local ARGV = ARGV
local P = KEYS[1]
local call = redis.call
local match = string.match
local MOMENT_MAX = 9007199254740991

local format = string.format

-- Now in us, as a number and as text.
local now, NOW = nil, ARGV[1]
if NOW == '' then
  local time = call('TIME')
  NOW = time[1] .. string.sub('00000', #time[2]) .. time[2]
  now = time[1] * 1000000 + time[2]
else
  now = tonumber(NOW)
end

local function us(number)
  if number > -10000000 and number < 10000000 then return format('%d', number) end
  local high = math.floor(number / 10000000)
  return format('%d%07d', high, number - high * 10000000)
end

-- Digits are a moment in us, "+us" is a length from now; answers digits.
local function moment(text)
  if string.byte(text) ~= 43 then return text end
  if text == '+0' then return NOW end
  return us(math.min(now + tonumber(text), MOMENT_MAX))
end

if KEYS[2] then call('SET', KEYS[2], '', 'PX', 60000) end
