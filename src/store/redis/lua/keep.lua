#!lua flags=allow-oom
--[[
keep: beat for a process and prolong leases.

ARGV
  2  ttl, us
  3  "1" to beat, "0" for leases alone, "-1" for the last beat: the process is forgotten
  4  node | 5 process | 6 what it tells of itself, JSON
  7+ claim ids, at most 1000

REPLY   {now, leader {node, process, term, until}, lost claim ids, {claim, task, "c" or "s", ...},
         1 if the process is to drain, else 0}
GUARDS  T5 a lease that is gone stays gone
COST    O(claims * log leases); the tasks under a lease are not touched
WHY     A lease that has expired and was not reclaimed is prolonged, so that work is not thrown
        away when the server itself was slow. A full server must not cost a lease.
]]
-- include calls
-- include hints
-- include leader
local drain = 0
if ARGV[3] == '1' then
  call('HSET', P .. 'nodes', ARGV[4], ARGV[5] .. '\t' .. ARGV[6])
  call('ZADD', P .. 'beats', NOW, ARGV[4])
  drain = call('SISMEMBER', P .. 'drain', ARGV[5])
elseif ARGV[3] == '-1' then
  local node = call('HGET', P .. 'nodes', ARGV[4])
  if node and match(node, '^[^\t]*') == ARGV[5] then
    call('HDEL', P .. 'nodes', ARGV[4])
    call('ZREM', P .. 'beats', ARGV[4])
  end
  call('SREM', P .. 'drain', ARGV[5])
  unwait(ARGV[5])
end

local lost, stops = {}, {}
if #ARGV >= 7 then
  local leases = call('HMGET', P .. 'lease', unpack(ARGV, 7))
  local has_stops = exists('stopping')
  local ends, renewed = {}, {}
  local lease_end = us(now + tonumber(ARGV[2]))
  for i, lease in ipairs(leases) do
    local claim = ARGV[6 + i]
    local node, process, kind, grace, fence
    if lease then
      node, process, kind, grace, fence = match(lease, '^([^\t]*)\t([^\t]*)\t(%a)\t%d+\t(%d+)\t%d+\t(%d+)$')
    end
    if node then
      ends[#ends + 1] = lease_end
      ends[#ends + 1] = claim
      renewed[#renewed + 1] = claim
      renewed[#renewed + 1] = table.concat({ node, process, kind, ARGV[2], grace, NOW, fence }, '\t')
      if has_stops and call('SISMEMBER', P .. 'stopping', claim) == 1 then
        local told = call('HGETALL', P .. 'stop:' .. claim)
        for j = 1, #told, 2 do
          stops[#stops + 1] = claim
          stops[#stops + 1] = told[j]
          stops[#stops + 1] = told[j + 1]
        end
      end
    else
      lost[#lost + 1] = claim
    end
  end
  in_parts('ZADD', P .. 'leases', ends)
  in_parts('HSET', P .. 'lease', renewed)
end
return { now, leader(), lost, stops, drain }
