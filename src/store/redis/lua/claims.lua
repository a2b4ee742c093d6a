--[[
claims: what scripts share that look at leases and what they hold.

ARGV    none

REPLY   none
GUARDS  T5 a claim that is closed is remembered as ended
COST    of each function, a few calls
WHY     Adds need none of it.
        What a claim took is written once, as one text, and what it still holds is counted: to put
        each task in and take it out again would cost as much as the task's place in `running`, which
        says, with `ghost`, what the claim still holds.
]]
local function fence_of(claim)
  local lease = call('HGET', P .. 'lease', claim)
  return lease and match(lease, '\t(%d+)$') or false
end

-- Notes that a claim holds so many tasks fewer. Who calls it closes the claim, in case that was all.
local function drop_from(claim, count)
  call('HINCRBY', P .. 'claim:' .. claim, 'left', -count)
end

-- Ends a lease that holds nothing any more.
local function close_claim(claim)
  local key = P .. 'claim:' .. claim
  if tonumber(call('HGET', key, 'left') or '0') > 0 then return end
  call('ZREM', P .. 'leases', claim)
  call('HDEL', P .. 'lease', claim)
  call('DEL', key, P .. 'stop:' .. claim)
  call('SREM', P .. 'stopping', claim)
  call('ZADD', P .. 'ended_claims', NOW, claim)
end

-- The claim that holds a running task, and the run_at of its run; nil if it does not run.
local function run_of(id)
  return match(call('HGET', P .. 'running', id) or '', '^([^\t]+)\t(%d+)\t')
end

-- The ids of all tasks that a claim took, also of those that it holds no more.
local function taken_by(claim)
  local ids = {}
  for id in string.gmatch(call('HGET', P .. 'claim:' .. claim, 'ids') or '', '[^\t]+') do
    ids[#ids + 1] = id
  end
  return ids
end

-- Whether a run of this task that was superseded under `claim` has not let go yet.
local function is_ghost(id, claim)
  return call('HGET', P .. 'ghost', id) == claim
end
