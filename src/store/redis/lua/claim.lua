#!lua flags=allow-oom
--[[
claim: lease due tasks under one lease.

ARGV
  2 claim id | 3 node | 4 process | 5 "n" node or "r" remote | 6 ttl, us | 7 grace, us | 8 ahead, us
  9 limit, 1 to 1000, or 0 to look without taking anything | 10 room for tasks with two crashes | 11 with three | 12 "1" if idle
  13 "1" to wait for hints | 14 how long expired tasks are kept, us
  15 count of queues, then the queues; count of callbacks or "-1" for any, then the callbacks

REPLY   {now, fence, lease end, next run_at or "", more, isolate, ids, run_ats, records, states,
         results, ids of records that cannot be read}; no states or results if nobody has any; ids
         are one text, a tab around each; run_ats likewise, or one for all
GUARDS  T3 a task leaves its lane in the step that leases it; T4; T8 paused queues and tasks, and
        expired tasks, are not leased
COST    about ten variadic calls, and four lookups per queue; log n of each lane
WHY     What is met first leaves its lane whatever becomes of it, so lanes are cut by rank.
        Reads come first, writes last. A claim that was lost is never renewed and is reclaimed.
        A record without a callback cannot be dispatched: it is set aside, never deleted.
        Each byte that comes into Lua is hashed, and each entry of a table that is answered takes longer
        than to find its task. So what is the same for many tasks is read, kept and answered once:
        tasks that were added together have one run_at.
        A look is for who chooses between partitions: it neither reserves nor hints, and says of a
        task that must run alone that there is more, so that a claim comes and finds out.
]]
-- include calls
-- include hints
local claim, process = ARGV[2], ARGV[4]
local horizon_us = now + tonumber(ARGV[8])
local horizon = us(horizon_us)
local limit = tonumber(ARGV[9])
local room_for = { ['0'] = 1, ['1'] = tonumber(ARGV[11]), ['2'] = tonumber(ARGV[10]) }
local is_idle = ARGV[12] == '1'

local queues, wanted, wants = {}, nil, '*'
do
  local last = 15 + tonumber(ARGV[15])
  for i = 16, last do queues[#queues + 1] = ARGV[i] end
  local count = tonumber(ARGV[last + 1])
  if count >= 0 then
    wanted = {}
    for i = last + 2, last + 1 + count do wanted[ARGV[i]] = true end
    wants = '\t' .. table.concat(ARGV, '\t', last + 2, last + 1 + count) .. '\t'
  end
end
local all_queues = table.concat(queues, '\t')

local is_rare = call('EXISTS', P .. 'qpaused', P .. 'wants', P .. 'special', P .. 'st', P .. 'res',
  P .. 'expires') > 0
if is_rare and #queues > 0 and exists('qpaused') then
  local gates = call('SMISMEMBER', P .. 'qpaused', unpack(queues))
  local open = {}
  for i, queue in ipairs(queues) do
    if gates[i] == 0 then open[#open + 1] = queue end
  end
  queues = open
end

if is_rare then unwait(process) end
local lease = call('HGET', P .. 'lease', claim)
if not lease and call('ZSCORE', P .. 'ended_claims', claim) then
  return { now, '0', '0', '', 0, 0, '', '', {}, {}, {}, {} }
end

-- Lanes in the order in which they are served.
local has_special = is_rare and exists('special')
local lanes = {}
for _, queue in ipairs(queues) do
  for priority = 0, 3 do
    if has_special then
      local from = queue .. '\t' .. priority .. '\t'
      local names = call('ZRANGE', P .. 'special', '[' .. from, '(' .. from .. '\255', 'BYLEX')
      for _, name in ipairs(names) do
        local rank, callback = match(name, '^[^\t]+\t%d\t(%d)\t(.+)$')
        if not wanted or wanted[callback] then
          lanes[#lanes + 1] = { key = P .. 'sp:' .. name, name = name, rank = rank, queue = queue,
            callback = callback, cut = 0 }
        end
      end
    end
    lanes[#lanes + 1] = { key = P .. 'due:' .. priority .. ':' .. queue, queue = queue,
      callback = '', priority = priority, cut = 0 }
  end
end

-- Looks at the first task of a lane that is left behind the cut.
local function look(lane)
  lane.head_at = call('ZRANGE', lane.key, lane.cut, lane.cut, 'WITHSCORES')[2]
  lane.head = tonumber(lane.head_at)
end

local function is_due(lane)
  return lane.head and lane.head <= horizon_us
end

for _, lane in ipairs(lanes) do look(lane) end

-- A task with four crashes runs alone: its lane, or whether the caller is to become idle for it.
local function alone()
  for _, lane in ipairs(lanes) do
    if lane.rank == '0' and is_due(lane) then
      if is_idle then return lane, false end
      local holder, from = match(call('GET', P .. 'isolate') or '', '^(.*)\t(%d+)$')
      from = tonumber(from)
      if not holder or now >= from + 60000000 or now < from then
        call('SET', P .. 'isolate', process .. '\t' .. NOW, 'PX', 61000)
        return nil, true
      end
      return nil, holder == process and now < from + 30000000
    end
  end
  return nil, false
end

local ids, run_ats, records, states, results = {}, {}, {}, {}, {}
local parked, expired, corrupt, expiring = {}, {}, {}, {}
local met = 0
local has_states, has_results = is_rare and exists('st'), is_rare and exists('res')
local has_expiring = is_rare and exists('expires')

-- Start of a record whose callback the claimer has, as most records in a row do.
local known

local function sort_out(lane, id, at, record, state, expires)
  if not record then return end
  local callback = match(record, '^([^\t\n]+)\t')
  if not callback then
    corrupt[#corrupt + 1] = id
    return
  end
  if expires and tonumber(expires) <= now then
    expired[#expired + 1] = { id = id, record = record, state = state, at = at }
  elseif wanted and not wanted[callback] then
    parked[#parked + 1] = { id = id, callback = callback, at = at, lane = lane }
  else
    local n = #ids + 1
    ids[n], run_ats[n], records[n] = id, at, record
    if has_states then states[n] = state or '' end
    if expires then expiring[#expiring + 1] = id end
    lane.leased = (lane.leased or 0) + 1
    known = callback .. '\t'
  end
end

-- The first tasks of a lane, and their run_ats: a table, or one text if they have but one.
local function first_of(lane, most)
  if call('ZRANGE', lane.key, most - 1, most - 1, 'WITHSCORES')[2] == lane.head_at then
    return call('ZRANGE', lane.key, 0, most - 1), lane.head_at
  end
  local found = call('ZRANGE', lane.key, '-inf', horizon, 'BYSCORE', 'LIMIT', 0, us(most), 'WITHSCORES')
  local some, ats = {}, {}
  for i = 1, #found / 2 do some[i], ats[i] = found[2 * i - 1], found[2 * i] end
  return some, ats
end

local function take(lane, most)
  if most <= 0 or not is_due(lane) then return end
  local some, ats = first_of(lane, most)
  local count = #some
  if count == 0 then return end
  local recs = call('HMGET', P .. 'rec', unpack(some))
  local sts = has_states and call('HMGET', P .. 'st', unpack(some)) or {}
  local exps = has_expiring and call('ZMSCORE', P .. 'expires', unpack(some)) or {}
  local n, leased = #ids, 0
  local at = ats
  local is_one = ats == lane.head_at
  for i = 1, count do
    if not is_one then at = ats[i] end
    local record = recs[i]
    if known and record and not exps[i] and string.sub(record, 1, #known) == known then
      n, leased = n + 1, leased + 1
      ids[n], run_ats[n], records[n] = some[i], at, record
      if has_states then states[n] = sts[i] or '' end
    else
      sort_out(lane, some[i], at, record, sts[i], exps[i])
      n = #ids
    end
  end
  lane.leased = (lane.leased or 0) + leased
  lane.cut = count
  met = met + count
  look(lane)
end

local fence, lease_end = '0', '0'
local isolate = false
if lease then
  -- include claims
  -- include tasks
  local again = {}
  for _, id in ipairs(taken_by(claim)) do
    local holder, at = run_of(id)
    local record = holder == claim and call('HGET', P .. 'rec', id)
    if record then
      local h = header(record)
      again[#again + 1] = { id = id, at = at, record = record, priority = h and h.priority or '9' }
    end
  end
  table.sort(again, function(a, b)
    if a.priority ~= b.priority then return a.priority < b.priority end
    if a.at ~= b.at then return tonumber(a.at) < tonumber(b.at) end
    return a.id < b.id
  end)
  for i, task in ipairs(again) do
    ids[i], run_ats[i], records[i] = task.id, task.at, task.record
    if has_states then states[i] = call('HGET', P .. 'st', task.id) or '' end
  end
  fence = match(lease, '\t(%d+)$')
  lease_end = call('ZSCORE', P .. 'leases', claim) or '0'
  met = #ids
else
  local only, reserved = nil, false
  if has_special and limit > 0 then only, reserved = alone() end
  isolate = reserved
  if only then
    take(only, 1)
  elseif not isolate then
    for _, lane in ipairs(lanes) do
      local most = limit - met
      if lane.rank == '0' then
        most = 0
      elseif lane.rank and lane.rank ~= '3' then
        most = math.min(most, room_for[lane.rank])
      end
      take(lane, most)
      if lane.rank and lane.rank ~= '3' and lane.rank ~= '0' then
        room_for[lane.rank] = room_for[lane.rank] - lane.cut
      end
      if met >= limit then break end
    end
  end
end

-- What is left, as it will be after the cut.
local next_at, more = nil, false
for _, lane in ipairs(lanes) do
  local reachable = not lane.rank or lane.rank == '3' or (lane.rank ~= '0' and room_for[lane.rank] > 0)
    or (lane.rank == '0' and (is_idle or (limit == 0 and is_due(lane))))
  if reachable and lane.head then
    if not next_at or lane.head < next_at then next_at = lane.head end
    if is_due(lane) then
      more = true
      if is_rare and limit > 0 then
        local left = call('ZCOUNT', lane.key, '-inf', horizon) - lane.cut
        hint(lane.queue, lane.callback, lane.head, left)
      end
    end
  end
end

-- From here on only writes.
for _, lane in ipairs(lanes) do
  if lane.cut > 0 then call('ZREMRANGEBYRANK', lane.key, 0, lane.cut - 1) end
end
if has_special or #parked > 0 or #expired > 0 then
  -- include claims
  -- include tasks
  for _, lane in ipairs(lanes) do
    if lane.cut > 0 and lane.name then close_if_empty(lane.name) end
  end
  for _, task in ipairs(parked) do
    stand_apart(special({ queue = task.lane.queue, priority = task.lane.priority,
      callback = task.callback }, 0), task.at, task.id)
    hint(task.lane.queue, task.callback, task.at, 1)
  end
  for _, task in ipairs(expired) do
    local h = header(task.record)
    if h then
      end_task(task.id, h, state_of(task.state), { state = 'expired', keep = ARGV[14], at = task.at })
    else
      corrupt[#corrupt + 1] = task.id
    end
  end
end
for _, id in ipairs(corrupt) do call('ZADD', P .. 'corrupt', NOW, id) end

local count = #ids
local all_ids = '\t' .. table.concat(ids, '\t') .. '\t'
local all_run_ats = run_ats[1] or ''
for i = 2, count do
  if run_ats[i] ~= all_run_ats then
    all_run_ats = table.concat(run_ats, '\t')
    break
  end
end
if count > 0 and not lease then
  local highest = now
  for i = 1, #states do
    local last = states[i] ~= '' and tonumber(match(states[i], '^%d+'))
    if last and last >= highest then highest = last + 1 end
  end
  fence = us(highest)
  lease_end = us(now + tonumber(ARGV[6]))
  local running, start = {}, claim .. '\t'
  local last_at, run
  for i = 1, count do
    local at = run_ats[i]
    if at ~= last_at then last_at, run = at, start .. at .. '\t' end
    running[2 * i - 1], running[2 * i] = ids[i], run
  end
  -- Redis keeps a hash of short values as a list that it searches from the front; one longer value
  -- makes it a table. `running` is asked all the time, so one value of each claim is long.
  running[2] = running[2] .. string.rep(' ', 64 - #start)
  call('HSET', P .. 'claim:' .. claim, 'left', count, 'ids', all_ids)
  call('HSET', P .. 'running', unpack(running))
  call('ZADD', P .. 'leases', lease_end, claim)
  call('HSET', P .. 'lease', claim, table.concat({
    ARGV[3], process, ARGV[5], ARGV[6], ARGV[7], NOW, fence,
  }, '\t'))
  in_parts('ZREM', P .. 'expires', expiring)
  for _, lane in ipairs(lanes) do
    if lane.leased then bump(lane.queue, 'running', lane.leased) end
  end
end
if has_results and count > 0 then
  results = call('HMGET', P .. 'res', unpack(ids))
  for i = 1, count do results[i] = results[i] or '' end
end

if ARGV[13] == '1' and (count < limit or limit == 0) then
  local wake_at = next_at and us(next_at) or '+inf'
  for queue in string.gmatch(all_queues, '[^\t]+') do
    call('ZADD', P .. 'waiting:' .. queue, wake_at, process)
  end
  call('HSET', P .. 'wants', process, all_queues .. '\n' .. wants)
end
finish()
return { now, fence, lease_end, next_at and us(next_at) or '', more and 1 or 0, isolate and 1 or 0,
  all_ids, all_run_ats, records, states, results, corrupt }
