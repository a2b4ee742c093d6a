#!lua flags=allow-oom
--[[
gate: open or pause a queue.

ARGV
  2 queue | 3 "open" or "paused"

REPLY   1
GUARDS  T8 claims that come after the reply take nothing from a paused queue
COST    O(lanes of the queue)
WHY     Opening a queue makes its due tasks claimable, so waiting nodes hear of it.
]]
-- include hints
local queue = ARGV[2]
call('SADD', P .. 'queues', queue)
if ARGV[3] == 'paused' then
  call('SADD', P .. 'qpaused', queue)
  return 1
end

call('SREM', P .. 'qpaused', queue)
local function offer(key, callback)
  local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if head then hint(queue, callback, head, call('ZCARD', key)) end
end
for priority = 0, 3 do offer(P .. 'due:' .. priority .. ':' .. queue, '') end
for _, name in ipairs(call('ZRANGE', P .. 'special', '[' .. queue .. '\t', '(' .. queue .. '\t\255', 'BYLEX')) do
  offer(P .. 'sp:' .. name, match(name, '^[^\t]+\t%d\t%d\t(.+)$'))
end
finish()
return 1
