#!lua
--[[
add: keep tasks, all of them or none.

ARGV
  2  request id
  3  "r" to replace tasks that exist, "k" to keep them
  4  "1" if no task is paused and none has a unique key
  5  how many tasks; then their ids
  then, in the order of the ids, blocks of tasks that have all of this in common:
     how many, callback, priority digit, queue, group, unique key, "o" once or "r" recurring,
     expires_at, paused_at, run_at (moments, "" for none; without run_at each has its own, which
     come next); then spec JSON of each

REPLY   one text, its parts divided by tabs: now; a letter per task: "C" created, "R" replaced, "K" kept,
        "D" duplicate; for each duplicate the id that holds its key
GUARDS  T1 all or nothing; T3 a successor waits; T4 it inherits the fence; S2
COST    a fixed number of variadic calls per block, and a few per task that replaces another
WHY     No allow-oom: a full server refuses the whole batch before anything is written.
        Everything is read first; keys that earlier tasks of the batch free or take are
        remembered in `taken`, so tasks are taken in order although they are written together.
        Most tasks are new and need a record and a place in a lane alone. What they have in common
        is put together once per block, and nothing is made for each of them but its record.
        A reply in tables would cost as much as two more calls.
]]
local request, count = ARGV[2], tonumber(ARGV[5])
local FIRST, BLOCKS = 6, 6 + count
local records = call('HMGET', P .. 'rec', unpack(ARGV, FIRST, BLOCKS - 1))
local has_ghosts, is_awaited = false, false
if call('EXISTS', P .. 'ghost', P .. 'wants') > 0 then
  has_ghosts = call('EXISTS', P .. 'ghost') == 1
  is_awaited = call('EXISTS', P .. 'wants') == 1
end
local is_usual = ARGV[4] == '1' and not has_ghosts
for i = 1, count do
  if records[i] then is_usual = false end
end

local wishes = {}
if is_usual then
  local at, first = BLOCKS, FIRST
  while ARGV[at] do
    local n, callback, priority, queue = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local group, expires, run_at = ARGV[at + 4], moment(ARGV[at + 7]), ARGV[at + 9]
    local start = callback .. '\t' .. priority .. '\t' .. queue .. '\t' .. group .. '\t\t'
      .. ARGV[at + 6] .. '\t' .. NOW .. '\t' .. expires .. '\t' .. request .. '\tC\n'
    local lane = P .. 'due:' .. priority .. ':' .. queue
    local own, earliest
    if run_at == '' then
      own, earliest, at = at + 9, MOMENT_MAX, at + n
    else
      run_at = moment(run_at)
      earliest = is_awaited and tonumber(run_at)
    end
    at = at + 9

    -- Made with room for one task: a table that grows is made anew.
    local kept, places = { 0, 0 }, { 0, 0 }
    for i = 1, n do
      local id = ARGV[first + i - 1]
      if own then
        run_at = moment(ARGV[own + i])
        local number = tonumber(run_at)
        if number < earliest then earliest = number end
      end
      kept[2 * i - 1], kept[2 * i] = id, start .. ARGV[at + i]
      places[2 * i - 1], places[2 * i] = run_at, id
    end
    call('HSET', P .. 'rec', unpack(kept))
    call('ZADD', lane, unpack(places))
    call('SADD', P .. 'queues', queue)
    if group ~= '' then call('SADD', P .. 'group:' .. group, unpack(ARGV, first, first + n - 1)) end
    if expires ~= '' then
      for i = 1, n do places[2 * i - 1] = expires end
      call('ZADD', P .. 'expires', unpack(places))
    end
    if is_awaited then wishes[#wishes + 1] = { queue, callback, earliest, n } end
    at, first = at + n + 1, first + n
  end
  if not is_awaited then return NOW .. '\t' .. string.rep('C', count) end
end
-- include hints
for _, wish in ipairs(wishes) do hint(wish[1], wish[2], wish[3], wish[4]) end
if is_usual then
  finish()
  return NOW .. '\t' .. string.rep('C', count)
end

-- include calls
-- include claims
-- include tasks
local keep_existing = ARGV[3] == 'k'
local tasks = {}
do
  local at = BLOCKS
  while ARGV[at] do
    local n, block = tonumber(ARGV[at]), at
    at = at + 10
    local run_at, own = ARGV[at - 1], at
    if run_at == '' then at = at + n end
    for i = 0, n - 1 do
      tasks[#tasks + 1] = {
        id = ARGV[FIRST + #tasks], callback = ARGV[block + 1], priority = ARGV[block + 2],
        queue = ARGV[block + 3], group = ARGV[block + 4], unique = ARGV[block + 5],
        kind = ARGV[block + 6], expires = moment(ARGV[block + 7]), paused = moment(ARGV[block + 8]),
        run_at = moment(run_at == '' and ARGV[own + i] or run_at), spec = ARGV[at + i],
      }
    end
    at = at + n
  end
end

local ghosts = has_ghosts and call('HMGET', P .. 'ghost', unpack(ARGV, FIRST, BLOCKS - 1)) or {}
local taken = {}

local function holder(key)
  if taken[key] ~= nil then return taken[key] end
  return call('HGET', P .. 'uniq', key)
end

local outcomes, holders = {}, {}
for i, task in ipairs(tasks) do
  local old = header(records[i])
  task.old = old
  local held_by = task.unique ~= '' and holder(task.unique)
  if old and old.request == request then
    outcomes[i] = old.outcome
  elseif records[i] and keep_existing then
    outcomes[i] = 'K'
  elseif held_by and held_by ~= task.id then
    outcomes[i] = 'D'
    holders[#holders + 1] = held_by
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
    supersede(id, old, claim)
  elseif old then
    leave(id, old, s)
  end
  call('ZREM', P .. 'corrupt', id)
  forget(id, old or { group = '', expires = '' })
  return fence
end

local kept, expiring, lanes, groups, queues = {}, {}, {}, {}, {}
local function items_of(lists, key)
  local items = lists[key]
  if not items then
    items = {}
    lists[key] = items
  end
  return items, #items
end

for i, task in ipairs(tasks) do
  if task.fresh then
    local id, at = task.id, task.run_at
    local fence = records[i] and displace(id, task.old) or ''
    kept[#kept + 1] = id
    kept[#kept + 1] = table.concat({
      task.callback, task.priority, task.queue, task.group, task.unique, task.kind, NOW,
      task.expires, request, outcomes[i],
    }, '\t') .. '\n' .. task.spec
    queues[task.queue] = true
    if task.group ~= '' then
      local items, n = items_of(groups, task.group)
      items[n + 1] = id
    end
    if task.expires ~= '' then
      expiring[#expiring + 1] = task.expires
      expiring[#expiring + 1] = id
    end

    local is_held = ghosts[i] or (records[i] and call('HEXISTS', P .. 'ghost', id) == 1)
    if task.paused ~= '' or is_held or fence ~= '' then
      local s = state_of('')
      s.fence, s.paused = fence, task.paused
      save_state(id, s)
      enter(id, task, s, at)
    else
      local items, n = items_of(lanes, ordinary(task))
      items[n + 1], items[n + 2] = at, id
      hint(task.queue, task.callback, at, 1)
    end
  end
end

in_parts('HSET', P .. 'rec', kept)
in_parts('ZADD', P .. 'expires', expiring)
for lane, items in pairs(lanes) do in_parts('ZADD', lane, items) end
for group, items in pairs(groups) do in_parts('SADD', P .. 'group:' .. group, items) end
for queue in pairs(queues) do call('SADD', P .. 'queues', queue) end
for key, id in pairs(taken) do
  if id then
    call('HSET', P .. 'uniq', key, id)
  elseif call('HEXISTS', P .. 'uniq', key) == 1 then
    call('HDEL', P .. 'uniq', key)
  end
end
finish()
return table.concat({ NOW, table.concat(outcomes), unpack(holders) }, '\t')
