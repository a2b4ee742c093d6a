--[[
hints: what scripts share that make tasks claimable or change how many there are.

ARGV    none

REPLY   none
GUARDS  none by itself
COST    of finish, a call per count that changed, and a few per process that is woken
WHY     Counts and hints are gathered and written once, by `finish`.
]]
local counts = {}

-- Notes that `more` tasks of a queue are in a state that no lane counts.
local function bump(queue, state, more)
  local field = queue .. '\t' .. state
  counts[field] = (counts[field] or 0) + more
end

local hints = {}

-- Notes that `count` tasks of a callback can be claimed from `at` on; callback '' means any.
local function hint(queue, callback, at, count)
  local key = queue .. '\t' .. callback
  local known = hints[key]
  at = tonumber(at)
  if known then
    known.count = known.count + count
    known.at = math.min(known.at, at)
  else
    hints[key] = { queue = queue, callback = callback, at = at, count = count }
  end
end

-- Takes a process out of those that wait for hints.
local function unwait(process)
  local wants = call('HGET', P .. 'wants', process)
  if not wants then return end
  call('HDEL', P .. 'wants', process)
  for queue in string.gmatch(match(wants, '^[^\n]*'), '[^\t]+') do
    call('ZREM', P .. 'waiting:' .. queue, process)
  end
end

local function wake(wish)
  local sleepers = call('ZRANGE', P .. 'waiting:' .. wish.queue, '+inf', '(' .. us(wish.at),
    'BYSCORE', 'REV', 'LIMIT', 0, 100)
  for _, process in ipairs(sleepers) do
    if wish.count <= 0 then return end
    local wants = call('HGET', P .. 'wants', process) or ''
    local takes = wish.callback == '' or string.find(wants, '\n*', 1, true)
      or string.find(wants, '\t' .. wish.callback .. '\t', 1, true)
    if takes then
      unwait(process)
      call('ZREM', P .. 'waiting:' .. wish.queue, process)
      if call('PUBLISH', P .. 'wake:' .. process, '') > 0 then wish.count = wish.count - 1 end
    end
  end
end

-- Writes what was gathered; the last call of each script that writes.
local function finish()
  for field, more in pairs(counts) do
    if more ~= 0 and call('HINCRBY', P .. 'counts', field, us(more)) <= 0 then
      call('HDEL', P .. 'counts', field)
    end
  end
  if next(hints) and call('EXISTS', P .. 'wants') == 1 then
    for _, wish in pairs(hints) do wake(wish) end
  end
end
