#!lua
--[[
restore: put tasks there as they were in another store, all of them or none.

ARGV
  2  request id
  3+ twenty-two per task: id, callback, priority digit, queue, group, unique key, "o" once or "r"
     recurring, created_at, expires_at, "x" if it still can expire, paused_at, run_at, planned_at,
     attempts, crashes, errors JSON, fence, planned time asked for ("" for none of these);
     the state it ended in or "", a tab, finished_at or "" for now; how long that is kept, us;
     result JSON or ""; spec JSON

REPLY   {now, one word per task: "C" created, "K" kept, "D" + id of the duplicate}
GUARDS  T1 all or nothing; T3 a task waits for a run of its id; T4 the fence is kept; S2; T10
COST    a few calls per task
WHY     No allow-oom: a full server refuses the whole batch before anything is written.
        Nothing that exists is touched, so a repeat is harmless; keys that earlier tasks of the
        batch take are remembered in `taken`, because everything is read before the first write.
]]
-- include calls
-- include hints
-- include claims
-- include tasks
local FIELDS = 22
local request = ARGV[2]
local count = (#ARGV - 2) / FIELDS

local tasks, ids = {}, {}
for i = 1, count do
  local f = 2 + (i - 1) * FIELDS
  local ended, finished = match(ARGV[f + 19], '^(%l*)\t(%d*)$')
  tasks[i] = {
    id = ARGV[f + 1], callback = ARGV[f + 2], priority = ARGV[f + 3], queue = ARGV[f + 4],
    group = ARGV[f + 5], unique = ARGV[f + 6], kind = ARGV[f + 7], created = ARGV[f + 8],
    expires = ARGV[f + 9], may_expire = ARGV[f + 10] == 'x', paused = ARGV[f + 11],
    run_at = ARGV[f + 12], planned = ARGV[f + 13], attempt = ARGV[f + 14],
    crashes = ARGV[f + 15], errors = ARGV[f + 16], fence = ARGV[f + 17], asked = ARGV[f + 18],
    ended = ended, finished = finished, keep = ARGV[f + 20], result = ARGV[f + 21],
    spec = ARGV[f + 22],
  }
  ids[i] = ARGV[f + 1]
end

local records = call('HMGET', P .. 'rec', unpack(ids))
local outcomes, taken = {}, {}
for i, task in ipairs(tasks) do
  local old = header(records[i])
  local key = task.ended == '' and task.unique or ''
  local holder = key ~= '' and (taken[key] or call('HGET', P .. 'uniq', key))
  if old and old.request == request then
    outcomes[i] = 'C'
  elseif records[i] then
    outcomes[i] = 'K'
  elseif holder then
    outcomes[i] = 'D' .. holder
  else
    outcomes[i] = 'C'
    task.fresh = true
    if key ~= '' then taken[key] = task.id end
  end
end

local function state_of_arrival(task)
  local planned = task.planned ~= task.run_at and task.planned or ''
  return {
    fence = task.fence, paused = task.paused, planned = planned, attempt = task.attempt,
    crashes = tonumber(task.crashes), cleared = '', errors = task.errors,
  }
end

local function put_ended(task)
  local finished = task.finished ~= '' and task.finished or NOW
  local prune_at = math.min(tonumber(finished) + tonumber(task.keep), MOMENT_MAX)
  call('HSET', P .. 'fin', task.id, task.ended .. '\t' .. finished .. '\t' .. task.run_at)
  call('ZADD', P .. 'ended:' .. task.ended, us(prune_at), task.id)
  bump(task.queue, task.ended, 1)
end

for _, task in ipairs(tasks) do
  if task.fresh then
    local id = task.id
    call('HSET', P .. 'rec', id, table.concat({
      task.callback, task.priority, task.queue, task.group, task.unique, task.kind, task.created,
      task.expires, request, 'C',
    }, '\t') .. '\n' .. task.spec)
    call('SADD', P .. 'queues', task.queue)
    if task.group ~= '' then call('SADD', P .. 'group:' .. task.group, id) end
    if task.may_expire then call('ZADD', P .. 'expires', task.expires, id) end
    if task.result ~= '' then call('HSET', P .. 'res', id, task.result) end
    if task.asked ~= '' then ask(id, '', '', task.asked) end
    local s = state_of_arrival(task)
    save_state(id, s)
    if task.ended ~= '' then put_ended(task) else enter(id, task, s, task.run_at) end
  end
end
for key, id in pairs(taken) do call('HSET', P .. 'uniq', key, id) end
finish()
return { now, outcomes }
