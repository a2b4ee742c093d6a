#!lua
--[[
add: keep tasks, all of them or none.

ARGV
  2  request id
  3  "r" to replace tasks that exist, "k" to keep them
  4+ eleven per task: id, callback, priority digit, queue, group, unique key, "o" once or "r"
     recurring, run_at, expires_at, paused_at (moments, "" for none), spec JSON

REPLY   {now, one word per task: "C" created, "R" replaced, "K" kept, "D" + id of the duplicate}
GUARDS  T1 all or nothing; T3 a successor waits; T4 it inherits the fence; S2
COST    a fixed number of variadic calls per batch, and a few per task that replaces another
WHY     No allow-oom: a full server refuses the whole batch before anything is written.
        Everything is read first; keys that earlier tasks of the batch free or take are
        remembered in `taken`, so tasks are taken in order although they are written together.
]]
local FIELDS = 11
local request, keep_existing = ARGV[2], ARGV[3] == 'k'
local count = (#ARGV - 3) / FIELDS

local tasks, ids = {}, {}
for i = 1, count do
  local first = 3 + (i - 1) * FIELDS
  local task = {
    id = ARGV[first + 1], callback = ARGV[first + 2], priority = ARGV[first + 3],
    queue = ARGV[first + 4], group = ARGV[first + 5], unique = ARGV[first + 6],
    kind = ARGV[first + 7], run_at = ARGV[first + 8], expires = ARGV[first + 9],
    paused = ARGV[first + 10], spec = ARGV[first + 11],
  }
  tasks[i], ids[i] = task, task.id
end

local records = call('HMGET', P .. 'rec', unpack(ids))
local ghosts = exists('ghost') and call('HMGET', P .. 'ghost', unpack(ids)) or {}
local taken = {}

local function holder(key)
  if taken[key] ~= nil then return taken[key] end
  return call('HGET', P .. 'uniq', key)
end

local outcomes = {}
for i, task in ipairs(tasks) do
  local old = header(records[i])
  task.old = old
  local held_by = task.unique ~= '' and holder(task.unique)
  if old and old.request == request then
    outcomes[i] = old.outcome
  elseif records[i] and keep_existing then
    outcomes[i] = 'K'
  elseif held_by and held_by ~= task.id then
    outcomes[i] = 'D' .. held_by
  else
    outcomes[i] = records[i] and 'R' or 'C'
    task.fresh = true
    if old and old.unique ~= '' and holder(old.unique) == task.id then taken[old.unique] = false end
    if task.unique ~= '' then taken[task.unique] = task.id end
  end
end

-- What is left of the task whose place is taken: its fence.
local function displace(id, old)
  local s = state_of(call('HGET', P .. 'st', id))
  local fence = s.fence
  local fin = call('HGET', P .. 'fin', id)
  local claim = run_of(id)
  if fin then
    if old then unend(id, old, fin) end
  elseif claim then
    fence = fence_of(claim) or fence
    if old then supersede(id, old, claim) end
  elseif old then
    leave(id, old, s)
  end
  call('ZREM', P .. 'corrupt', id)
  forget(id, old or { group = '', expires = '' })
  return fence
end

local written, lanes, groups, expiring, queues = {}, {}, {}, {}, {}
local function gather(table_of, key, ...)
  local items = table_of[key]
  if not items then
    items = {}
    table_of[key] = items
  end
  for _, item in ipairs({ ... }) do items[#items + 1] = item end
end

for i, task in ipairs(tasks) do
  if task.fresh then
    local fence = records[i] and displace(task.id, task.old) or ''
    local at = us(moment(task.run_at))
    local expires = task.expires ~= '' and us(moment(task.expires)) or ''
    local paused = task.paused ~= '' and us(moment(task.paused)) or ''
    written[#written + 1] = task.id
    written[#written + 1] = table.concat({
      task.callback, task.priority, task.queue, task.group, task.unique, task.kind, us(now),
      expires, request, outcomes[i],
    }, '\t') .. '\n' .. task.spec
    queues[task.queue] = true
    if task.group ~= '' then gather(groups, task.group, task.id) end
    if expires ~= '' then gather(expiring, 1, expires, task.id) end

    local is_held = ghosts[i] or (records[i] and call('HEXISTS', P .. 'ghost', task.id) == 1)
    if paused ~= '' or is_held or fence ~= '' then
      local s = state_of('')
      s.fence, s.paused = fence, paused
      save_state(task.id, s)
      enter(task.id, task, s, at)
    else
      gather(lanes, ordinary(task), at, task.id)
      hint(task.queue, task.callback, at, 1)
    end
  end
end

in_parts('HSET', P .. 'rec', written)
for lane, items in pairs(lanes) do in_parts('ZADD', lane, items) end
for group, items in pairs(groups) do in_parts('SADD', P .. 'group:' .. group, items) end
for _, items in pairs(expiring) do in_parts('ZADD', P .. 'expires', items) end
for queue in pairs(queues) do call('SADD', P .. 'queues', queue) end
for key, id in pairs(taken) do
  if id then
    call('HSET', P .. 'uniq', key, id)
  elseif call('HEXISTS', P .. 'uniq', key) == 1 then
    call('HDEL', P .. 'uniq', key)
  end
end
finish()
return { now, outcomes }
