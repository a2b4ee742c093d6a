#!lua flags=allow-oom
--[[
maintain: one batch of each housekeeping duty.

ARGV
  2 process of the leader | 3 its term | 4 most entries of each kind, 1 to 1000
  5 how long expired tasks are kept, us | 6 after how long a silent node is forgotten, us
  7 how long an ended claim is remembered, us

REPLY   -1 if the mandate is over, else {expired, pruned, forgotten, repaired, more}
GUARDS  L1; T7 only tasks that were never claimed expire; T10, T1 the audit puts back a record that
        stands nowhere
COST    about ten calls per entry
WHY     The audit walks all records, some at each call, from where it stood; a task that is
        running under a claim without a lease would be lost without it.
]]
-- include calls
-- include leader
-- include hints
-- include claims
-- include tasks
if not leads(ARGV[2], ARGV[3]) then return -1 end
local limit = tonumber(ARGV[4])
local AUDITED = 50

local function due_of(index)
  return call('ZRANGE', P .. index, '-inf', NOW, 'BYSCORE', 'LIMIT', 0, us(limit))
end

local repaired, more = 0, false

local function expire()
  local ids = due_of('expires')
  for _, id in ipairs(ids) do
    local h = header(call('HGET', P .. 'rec', id))
    call('ZREM', P .. 'expires', id)
    if h then
      local s = state_of(call('HGET', P .. 'st', id))
      local at = leave(id, h, s)
      end_task(id, h, s, { state = 'expired', keep = ARGV[5], at = at or NOW })
    end
  end
  if #ids == limit then more = true end
  return #ids
end

local function prune()
  local pruned = 0
  for _, state in ipairs({ 'completed', 'dead', 'cancelled', 'expired' }) do
    local ids = due_of('ended:' .. state)
    for _, id in ipairs(ids) do
      local h = header(call('HGET', P .. 'rec', id))
      local fin = call('HGET', P .. 'fin', id)
      if h and fin then
        unend(id, h, fin)
        forget(id, h)
        pruned = pruned + 1
      else
        call('ZREM', P .. 'ended:' .. state, id)
        repaired = repaired + 1
      end
    end
    if #ids == limit then more = true end
  end
  return pruned
end

local function forget_nodes()
  local names = call('ZRANGE', P .. 'beats', '-inf', us(now - tonumber(ARGV[6])), 'BYSCORE',
    'LIMIT', 0, us(limit))
  for _, name in ipairs(names) do
    local node = call('HGET', P .. 'nodes', name)
    if node then unwait(match(node, '^[^\t]*')) end
    call('HDEL', P .. 'nodes', name)
    call('ZREM', P .. 'beats', name)
  end
  if #names == limit then more = true end
  return #names
end

-- Orders to drain for processes that are gone, or whose name another one has.
local function forget_orders()
  local told = call('SMEMBERS', P .. 'drain')
  if #told == 0 then return end
  local here = {}
  for _, node in ipairs(call('HVALS', P .. 'nodes')) do here[match(node, '^[^\t]*')] = true end
  for _, process in ipairs(told) do
    if not here[process] then call('SREM', P .. 'drain', process) end
  end
end

local function is_placed(id, h)
  if call('HEXISTS', P .. 'fin', id) == 1 then return true end
  local claim = run_of(id)
  if claim then
    local ids = fence_of(claim) and call('HGET', P .. 'claim:' .. claim, 'ids')
    return ids and string.find(ids, '\t' .. id .. '\t', 1, true)
  end
  local _, at = locate(id, h, state_of(call('HGET', P .. 'st', id)))
  return at
end

local function audit()
  local found = call('HSCAN', P .. 'rec', call('HGET', P .. 'leader', 'audit') or '0', 'COUNT', AUDITED)
  call('HSET', P .. 'leader', 'audit', found[1])
  for i = 1, #found[2], 2 do
    local id, h = found[2][i], header(found[2][i + 1])
    if not h then
      call('ZADD', P .. 'corrupt', 'NX', NOW, id)
    elseif not call('ZSCORE', P .. 'corrupt', id) and not is_placed(id, h) then
      local s = state_of(call('HGET', P .. 'st', id))
      if call('HDEL', P .. 'running', id) == 1 then bump(h.queue, 'running', -1) end
      enter(id, h, s, NOW)
      repaired = repaired + 1
    end
  end
end

local expired, pruned, forgotten = expire(), prune(), forget_nodes()
forget_orders()
audit()
call('ZREMRANGEBYSCORE', P .. 'ended_claims', '-inf', us(now - tonumber(ARGV[7])))
call('ZREMRANGEBYSCORE', P .. 'watched', '-inf', '(' .. NOW)
finish()
return { expired, pruned, forgotten, repaired, more and 1 or 0 }
