#!lua flags=allow-oom
--[[
change: pause, resume, cancel, retry, reschedule or remove tasks.

ARGV
  2  "pause", "resume", "cancel", "retry", "reschedule" or "remove"
  3  moment of a reschedule, "" to take one per id
  4  how long cancelled tasks are kept, us
  5  "group" and its name, or "ids" and the ids (each followed by its moment if ARGV[3] is "" and
     the action is "reschedule"); no id twice

REPLY   {affected, missing ids, {skipped id, state, ...}}
GUARDS  T8 a task that was paused, cancelled or removed stands in no lane when the reply is sent
        T7 only retry revives a task; S2 and only if its unique key is free
COST    about ten calls per task; a group is one step, however many tasks it has
WHY     A task that already is as asked counts as affected, so that a repeat answers the same.
]]
-- include calls
-- include hints
-- include claims
-- include tasks
local action, group_moment, keep_cancelled = ARGV[2], ARGV[3], ARGV[4]
local affected, missing, skipped = 0, {}, {}

local function skip(id, state)
  skipped[#skipped + 1] = id
  skipped[#skipped + 1] = state
end

local scheduled = {}

function scheduled.pause(id, h, s)
  if s.paused ~= '' then return true end
  local at = leave(id, h, s)
  s.paused = NOW
  save_state(id, s)
  enter(id, h, s, at or NOW)
  return true
end

function scheduled.resume(id, h, s)
  if s.paused == '' then return true end
  local at = leave(id, h, s)
  s.paused = ''
  save_state(id, s)
  enter(id, h, s, at or NOW)
  return true
end

function scheduled.cancel(id, h, s)
  local at = leave(id, h, s)
  end_task(id, h, s, { state = 'cancelled', keep = keep_cancelled, at = at or NOW })
  return true
end

function scheduled.retry()
  return false
end

function scheduled.reschedule(id, h, s, at)
  leave(id, h, s)
  call('HDEL', P .. 'asked', id)
  s.planned = ''
  save_state(id, s)
  enter(id, h, s, at)
  return true
end

function scheduled.remove(id, h, s)
  leave(id, h, s)
  free_unique(id, h)
  forget(id, h)
  return true
end

local running = {}

function running.pause(id)
  local cancel, pause, planned = asked_of(id)
  if pause == '' then ask(id, cancel, NOW, planned) end
  return true
end

function running.resume(id)
  local cancel, _, planned = asked_of(id)
  ask(id, cancel, '', planned)
  return true
end

function running.cancel(id, _, claim)
  local _, pause, planned = asked_of(id)
  ask(id, 'c', pause, planned)
  tell_stop(claim, id, 'c')
  return true
end

function running.retry()
  return false
end

function running.reschedule(id, h, _, at)
  if h.kind == 'o' then return false end
  local cancel, pause = asked_of(id)
  ask(id, cancel, pause, at)
  return true
end

function running.remove(id, h, claim)
  supersede(id, h, claim)
  free_unique(id, h)
  forget(id, h)
  return true
end

local function retry_ended(id, h, fin)
  local state, _, at = match(fin, '^(%l+)\t(%d+)\t(%d+)$')
  if not state or state == 'completed' then return false end
  if h.unique ~= '' then
    local holder = call('HGET', P .. 'uniq', h.unique)
    if holder and holder ~= id then return false end
    call('HSET', P .. 'uniq', h.unique, id)
  end
  local s = state_of(call('HGET', P .. 'st', id))
  unend(id, h, fin)
  if s.planned == '' then s.planned = at end
  if s.planned == NOW then s.planned = '' end
  s.attempt, s.crashes, s.cleared, s.paused = '0', 0, h.expires ~= '' and 'x' or '', ''
  save_state(id, s)
  enter(id, h, s, NOW)
  return true
end

local function change_ended(id, h, fin)
  if action == 'retry' then return retry_ended(id, h, fin) end
  if action ~= 'remove' then return false end
  unend(id, h, fin)
  forget(id, h)
  return true
end

local function remove_unreadable(id)
  call('ZREM', P .. 'corrupt', id)
  call('HDEL', P .. 'fin', id)
  local claim = run_of(id)
  if claim then supersede(id, nil, claim) end
  forget(id, { group = '', expires = '' })
end

local function change(id, at, is_named)
  local record = call('HGET', P .. 'rec', id)
  if not record then
    if is_named then missing[#missing + 1] = id end
    return
  end
  local h = header(record)
  if not h then
    if action == 'remove' then
      remove_unreadable(id)
      affected = affected + 1
    end
    return
  end

  if action == 'remove' then call('ZREM', P .. 'corrupt', id) end
  local fin = call('HGET', P .. 'fin', id)
  local claim = not fin and run_of(id)
  local state, is_done
  if fin then
    state, is_done = match(fin, '^%l+') or 'dead', change_ended(id, h, fin)
  elseif claim then
    state, is_done = 'running', running[action](id, h, claim, at)
  else
    local s = state_of(call('HGET', P .. 'st', id))
    state, is_done = 'scheduled', scheduled[action](id, h, s, at)
  end
  if is_done then affected = affected + 1 else skip(id, state) end
end

if ARGV[5] == 'group' then
  local at = group_moment ~= '' and moment(group_moment) or NOW
  for _, id in ipairs(call('SMEMBERS', P .. 'group:' .. ARGV[6])) do change(id, at, false) end
elseif action == 'reschedule' and group_moment == '' then
  for i = 6, #ARGV, 2 do change(ARGV[i], moment(ARGV[i + 1]), true) end
else
  local at = group_moment ~= '' and moment(group_moment) or NOW
  for i = 6, #ARGV do change(ARGV[i], at, true) end
end
finish()
return { affected, missing, skipped }
