#!lua flags=no-writes
--[[
stats: depths of all queues.

ARGV    none
REPLY   {now, earliest run_at or "", per queue {name, paused, four depths of the ordinary lanes, due,
         oldest run_at or "", parked, suspects}, {"queue TAB state", count, ...}}
GUARDS  none
COST    O(queues + special lanes)
WHY     Lanes count themselves; what stands in none is counted in one hash.
]]
local next_at
local function see(key)
  local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if head and (not next_at or tonumber(head) < next_at) then next_at = tonumber(head) end
  return head
end

local parked, suspects = {}, {}
for _, name in ipairs(call('ZRANGE', P .. 'special', 0, -1)) do
  local queue, rank = match(name, '^([^\t]+)\t%d\t(%d)\t')
  local counted = rank == '3' and parked or suspects
  counted[queue] = (counted[queue] or 0) + call('ZCARD', P .. 'sp:' .. name)
  see(P .. 'sp:' .. name)
end

local out = {}
local queues = call('SMEMBERS', P .. 'queues')
table.sort(queues)
for _, queue in ipairs(queues) do
  local depths, due, oldest = {}, 0, nil
  for priority = 0, 3 do
    local key = P .. 'due:' .. priority .. ':' .. queue
    depths[priority + 1] = call('ZCARD', key)
    if depths[priority + 1] > 0 then
      local head = see(key)
      local count = call('ZCOUNT', key, '-inf', NOW)
      due = due + count
      if count > 0 and (not oldest or tonumber(head) < oldest) then oldest = tonumber(head) end
    end
  end
  out[#out + 1] = { queue, call('SISMEMBER', P .. 'qpaused', queue), depths, due,
    oldest and us(oldest) or '', parked[queue] or 0, suspects[queue] or 0 }
end
return { now, next_at and us(next_at) or '', out, call('HGETALL', P .. 'counts') }
