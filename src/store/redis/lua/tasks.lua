--[[
tasks: what scripts share that look at tasks one by one.

ARGV    none

REPLY   none
GUARDS  T3 a task whose old run has not let go stands in no lane
        T4 a state that is kept carries the last fence
        T10 a record is in exactly the indexes that its state implies
COST    of each function, a few calls
WHY     They use `hints` and `claims`, which must stand before. Scripts that come to the common end without these functions leave before they are made.
]]
local RECORD = '^([^\t\n]+)\t([0-3])\t([^\t\n]+)\t([^\t\n]*)\t([^\t\n]*)\t([or])\t(%d+)\t(%d*)\t([^\t\n]+)\t([CR])\n'
local STATE = '^(%d*)\t(%d*)\t(%d*)\t(%d+)\t(%d+)\t(x?)\t(.*)$'

-- The part of a record that scripts read; nil if it cannot be read.
local function header(record)
  if not record then return nil end
  local callback, priority, queue, group, unique, kind, created, expires, request, outcome =
    match(record, RECORD)
  if not callback then return nil end
  return {
    callback = callback, priority = priority, queue = queue, group = group, unique = unique,
    kind = kind, created = created, expires = expires, request = request, outcome = outcome,
  }
end

-- The volatile part of a task; without text that of a task that was never claimed.
local function state_of(text)
  local fence, paused, planned, attempt, crashes, cleared, errors = match(text or '', STATE)
  if not fence then
    fence, paused, planned, attempt, crashes, cleared, errors = '', '', '', '0', '0', '', ''
  end
  return {
    fence = fence, paused = paused, planned = planned, attempt = attempt,
    crashes = tonumber(crashes), cleared = cleared, errors = errors,
  }
end

local function save_state(id, s)
  local text = table.concat({
    s.fence, s.paused, s.planned, s.attempt, us(s.crashes), s.cleared, s.errors,
  }, '\t')
  if text == '\t\t\t0\t0\t\t' then
    call('HDEL', P .. 'st', id)
  else
    call('HSET', P .. 'st', id, text)
  end
end

local function ordinary(h)
  return P .. 'due:' .. h.priority .. ':' .. h.queue
end

-- Name of a special lane. Names sort as claims take them: most crashes first, then parked ones.
local function special(h, crashes)
  local rank = 3
  if crashes >= 2 then rank = math.max(4 - crashes, 0) end
  return h.queue .. '\t' .. h.priority .. '\t' .. us(rank) .. '\t' .. h.callback
end

local function stand_apart(name, at, id)
  call('ZADD', P .. 'sp:' .. name, at, id)
  call('ZADD', P .. 'special', 0, name)
end

local function close_if_empty(name)
  if not exists('sp:' .. name) then call('ZREM', P .. 'special', name) end
end

-- Where a scheduled task stands: 'paused', 'held', 'parked', 'suspect', 'due' or nil; its run_at.
local function locate(id, h, s)
  if s.paused ~= '' then return 'paused', call('ZSCORE', P .. 'paused', id) end
  local at
  if s.crashes >= 2 then
    at = call('ZSCORE', P .. 'sp:' .. special(h, s.crashes), id)
    if at then return 'suspect', at end
  else
    at = call('ZSCORE', ordinary(h), id)
    if at then return 'due', at end
    at = call('ZSCORE', P .. 'sp:' .. special(h, 0), id)
    if at then return 'parked', at end
  end
  at = call('ZSCORE', P .. 'held', id)
  if at then return 'held', at end
  return nil, false
end

-- Takes a scheduled task from where it stands; answers its run_at, false if it stood nowhere.
local function leave(id, h, s)
  local place, at = locate(id, h, s)
  if place == 'paused' or place == 'held' then
    if call('ZREM', P .. place, id) == 1 then bump(h.queue, 'held', -1) end
  elseif place == 'due' then
    call('ZREM', ordinary(h), id)
  elseif place then
    local name = special(h, s.crashes)
    call('ZREM', P .. 'sp:' .. name, id)
    close_if_empty(name)
  end
  return at
end

-- Puts a scheduled task where it belongs, and hints if it can be claimed from there.
local function enter(id, h, s, at)
  if s.paused ~= '' then
    call('ZADD', P .. 'paused', at, id)
    bump(h.queue, 'held', 1)
  elseif call('HEXISTS', P .. 'ghost', id) == 1 then
    call('ZADD', P .. 'held', at, id)
    bump(h.queue, 'held', 1)
  else
    if s.crashes >= 2 then
      stand_apart(special(h, s.crashes), at, id)
    else
      call('ZADD', ordinary(h), at, id)
    end
    hint(h.queue, h.callback, at, 1)
  end
end

local function free_unique(id, h)
  if h.unique ~= '' and call('HGET', P .. 'uniq', h.unique) == id then
    call('HDEL', P .. 'uniq', h.unique)
  end
end

-- Drops what is kept of a task that stands nowhere any more.
local function forget(id, h)
  call('HDEL', P .. 'rec', id)
  call('HDEL', P .. 'st', id)
  call('HDEL', P .. 'res', id)
  call('HDEL', P .. 'asked', id)
  call('ZREM', P .. 'watched', id)
  if h.group ~= '' then call('SREM', P .. 'group:' .. h.group, id) end
  if h.expires ~= '' then call('ZREM', P .. 'expires', id) end
end

-- Ends a task that stands nowhere any more, and keeps it for `keep` us.
local function end_task(id, h, s, ended)
  local keep = tonumber(ended.keep)
  free_unique(id, h)
  if h.expires ~= '' then call('ZREM', P .. 'expires', id) end
  if exists('watched') then
    local until_at = call('ZSCORE', P .. 'watched', id)
    if until_at then
      call('ZREM', P .. 'watched', id)
      if ended.state == 'completed' and tonumber(until_at) >= now then
        keep = math.max(keep, 60000000)
      end
    end
  end
  if keep <= 0 then return forget(id, h) end

  s.paused = ''
  save_state(id, s)
  call('HDEL', P .. 'asked', id)
  if ended.result and ended.result ~= '' then call('HSET', P .. 'res', id, ended.result) end
  call('HSET', P .. 'fin', id, ended.state .. '\t' .. NOW .. '\t' .. ended.at)
  call('ZADD', P .. 'ended:' .. ended.state, us(math.min(now + keep, MOMENT_MAX)), id)
  bump(h.queue, ended.state, 1)
end

-- Takes an ended task out of the ended ones; answers its state, finished_at and run_at.
local function unend(id, h, fin)
  local state, finished, at = match(fin, '^(%l+)\t(%d+)\t(%d+)$')
  if not state then return nil end
  call('ZREM', P .. 'ended:' .. state, id)
  call('HDEL', P .. 'fin', id)
  bump(h.queue, state, -1)
  return state, finished, at
end

-- Tells the holder of a claim to stop the run of a task: 'c' cancelled, 's' superseded.
local function tell_stop(claim, id, reason)
  call('HSET', P .. 'stop:' .. claim, id, reason)
  call('SADD', P .. 'stopping', claim)
end

-- Takes a running task from its claim, whose run is told to stop and lets go later; `h` is nil if its
-- record cannot be read.
local function supersede(id, h, claim)
  call('HDEL', P .. 'running', id)
  call('HDEL', P .. 'asked', id)
  if h then bump(h.queue, 'running', -1) end
  if exists('claim:' .. claim) then
    call('HSET', P .. 'ghost', id, claim)
    tell_stop(claim, id, 's')
  end
end

-- A run that was superseded lets go: its successor becomes claimable (T3).
local function let_go(id, claim)
  drop_from(claim, 1)
  call('HDEL', P .. 'stop:' .. claim, id)
  call('HDEL', P .. 'ghost', id)
  local at = call('ZSCORE', P .. 'held', id)
  if not at then return end
  local h = header(call('HGET', P .. 'rec', id))
  call('ZREM', P .. 'held', id)
  if h then
    bump(h.queue, 'held', -1)
    enter(id, h, state_of(call('HGET', P .. 'st', id)), at)
  end
end

-- Parts of what was asked of a running task: cancel ('c' or ''), paused_at, planned time.
local function asked_of(id)
  local text = call('HGET', P .. 'asked', id)
  if not text then return '', '', '' end
  return match(text, '^(c?)\t(%d*)\t(%d*)$')
end

-- Notes what was asked of a running task.
local function ask(id, cancel, pause, planned)
  if cancel == '' and pause == '' and planned == '' then
    call('HDEL', P .. 'asked', id)
  else
    call('HSET', P .. 'asked', id, cancel .. '\t' .. pause .. '\t' .. planned)
  end
end

-- Applies a verdict to a task that `claim` holds, and yields to what was asked meanwhile.
-- `v.at` is the moment of an "again"; `run_at` that of the run. A planned time that was asked for
-- waits for the occurrence that it is for, so a retry in between does not lose it.
local function apply(id, h, claim, fence, run_at, v)
  local cancel, pause, planned = asked_of(id)
  local s = state_of(call('HGET', P .. 'st', id))
  call('HDEL', P .. 'running', id)
  drop_from(claim, 1)
  call('HDEL', P .. 'stop:' .. claim, id)
  bump(h.queue, 'running', -1)
  s.fence, s.attempt, s.crashes, s.errors = fence, v.attempt, tonumber(v.crashes), v.errors

  local completed_once = v.kind == 'E' and v.word == 'completed' and h.kind == 'o'
  if cancel == 'c' and not completed_once then
    end_task(id, h, s, { state = 'cancelled', keep = v.keep_cancelled, result = v.result, at = run_at })
  elseif v.kind == 'E' then
    end_task(id, h, s, { state = v.word, keep = v.keep, result = v.result, at = run_at })
  else
    local at = moment(v.at)
    s.planned = v.planned
    if planned ~= '' and v.word == 'next' then at, s.planned, planned = planned, planned, '' end
    ask(id, '', '', planned)
    if s.planned == at then s.planned = '' end
    s.paused = pause
    if v.result ~= '' then call('HSET', P .. 'res', id, v.result) end
    save_state(id, s)
    enter(id, h, s, at)
  end
end

-- What is kept of a task, for the reader: {id, record, state, fin, result, place, run_at,
-- claim, node, fence, lease end}; nil if there is no record.
local function row(id)
  local record = call('HGET', P .. 'rec', id)
  if not record then return nil end
  local state = call('HGET', P .. 'st', id) or ''
  local fin = call('HGET', P .. 'fin', id) or ''
  local result = call('HGET', P .. 'res', id) or ''
  local out = { id, record, state, fin, result, 'ended', '', '', '', '', '' }
  if fin ~= '' then return out end

  local claim, run_at = run_of(id)
  if claim then
    local lease = call('HGET', P .. 'lease', claim) or ''
    out[6] = 'running'
    out[7] = run_at
    out[8] = claim
    out[9] = match(lease, '^[^\t]+') or ''
    out[10] = match(lease, '\t(%d+)$') or ''
    out[11] = call('ZSCORE', P .. 'leases', claim) or ''
    return out
  end
  local h = header(record)
  if not h then return out end
  local place, at = locate(id, h, state_of(state))
  out[6], out[7] = place or 'nowhere', at or ''
  return out
end
