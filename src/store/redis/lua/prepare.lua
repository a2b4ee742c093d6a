#!lua flags=allow-oom
--[[
prepare: write how the namespace is kept, if nobody did.

ARGV
  2 how this build keeps it

REPLY   how it is kept
GUARDS  none
COST    constant
WHY     Who comes first decides; who finds something else must not write.
]]
local found = call('GET', P .. 'schema')
if found then return found end
call('SET', P .. 'schema', ARGV[2])
return ARGV[2]
