--[[
claims: what scripts share that look at leases and what they hold.

ARGV    none

REPLY   none
GUARDS  T5 a claim that is closed is remembered as ended
COST    of each function, a few calls
WHY     Adds need none of it.
]]
local function fence_of(claim)
  local lease = call('HGET', P .. 'lease', claim)
  return lease and match(lease, '\t(%d+)$') or false
end

-- Ends a lease that holds nothing any more.
local function close_claim(claim)
  if exists('claim:' .. claim) then return end
  call('ZREM', P .. 'leases', claim)
  call('HDEL', P .. 'lease', claim)
  call('DEL', P .. 'stop:' .. claim)
  call('SREM', P .. 'stopping', claim)
  call('ZADD', P .. 'ended_claims', NOW, claim)
end

-- The claim that holds a running task, and the run_at of its run; nil if it does not run.
local function run_of(id)
  return match(call('HGET', P .. 'running', id) or '', '^([^\t]+)\t(%d+)\t')
end

-- Whether a run of this task that was superseded under `claim` has not let go yet.
local function is_ghost(id, claim)
  return call('HGET', P .. 'ghost', id) == claim
end
