#!lua flags=allow-oom
--[[
resign: end the present term.

ARGV
  2 process that gives up its own term, "" to end the term of whoever leads
  3 how long who was told to resign may not stand, us

REPLY   {node, process, term, until} of the term that was ended, or empty
GUARDS  L1 the number of the term is kept, so that the next one is higher
COST    constant
WHY     An operator who ends a term wants another node to lead; who leaves of its own will not stand.
]]
-- include leader
local found = leader()
if #found == 0 or (ARGV[2] ~= '' and found[2] ~= ARGV[2]) then return {} end
call('HSET', P .. 'leader', 'until', '0')
if ARGV[2] == '' then
  call('HSET', P .. 'leader', 'barred', found[2], 'barred_until', us(now + tonumber(ARGV[3])))
end
return found
