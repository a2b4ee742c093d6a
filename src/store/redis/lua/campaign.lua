#!lua flags=allow-oom
--[[
campaign: stand for leader, or renew the term of the process that leads.

ARGV
  2 node | 3 process | 4 ttl, us | 5 a term that a new one must be above

REPLY   {now, {node, process, term, until}}; the inner one is empty if nobody leads
GUARDS  L1 terms only grow, and are never below the server's clock
COST    constant
WHY     A plain counter repeats numbers after a failover that lost writes; now in us does not.
]]
-- include leader
local found = call('HMGET', P .. 'leader', 'process', 'term', 'until', 'barred', 'barred_until')
local is_free = not found[3] or tonumber(found[3]) <= now
local until_at = us(now + tonumber(ARGV[4]))
if not is_free and found[1] == ARGV[3] then
  call('HSET', P .. 'leader', 'until', until_at, 'node', ARGV[2])
elseif is_free and not (found[4] == ARGV[3] and tonumber(found[5] or '0') > now) then
  local term = us(math.max(now, tonumber(found[2] or '0') + 1, tonumber(ARGV[5]) + 1))
  call('HSET', P .. 'leader', 'node', ARGV[2], 'process', ARGV[3], 'term', term, 'until', until_at)
end
return { now, leader() }
