#!lua flags=allow-oom
--[[
drain: tell the process that beats under a name to drain.

ARGV
  2 node

REPLY   1, or 0 if no such node beats
GUARDS  none
COST    constant
WHY     The order names the process, so one that takes the name later is not told. A full server must
        not keep an operator from emptying a node.
]]
local node = call('HGET', P .. 'nodes', ARGV[2])
if not node then return 0 end
call('SADD', P .. 'drain', match(node, '^[^\t]*'))
return 1
