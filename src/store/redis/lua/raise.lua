#!lua flags=allow-oom
--[[
raise: let a partition know the term that another partition gave.

ARGV
  2 node | 3 process | 4 its term | 5 ttl, us

REPLY   "" if it is the latest one here, else the later one
GUARDS  L1 terms only grow: a step of an older one is refused here from now on
COST    constant
WHY     Leaders are elected in one partition, and each partition checks the term by itself.
]]
local found = call('HMGET', P .. 'leader', 'process', 'term')
local known, term = tonumber(found[2] or '0'), tonumber(ARGV[4])
if known > term or (known == term and found[1] ~= ARGV[3]) then return found[2] end
call('HSET', P .. 'leader', 'node', ARGV[2], 'process', ARGV[3], 'term', ARGV[4],
  'until', us(now + tonumber(ARGV[5])))
return ''
