#!lua
--[[
led: what stands before the body of another script when only the leader may run it.

ARGV
  2 process of the leader | 3 its term | 4+ what the script takes from 2 on

REPLY   -1 if the mandate is over, else that of the script
GUARDS  L1
COST    one more call
WHY     Whoever reads ARGV afterwards finds it as if these two had never been there, so the body is
        the same, whoever runs it.
]]
-- include leader
if not leads(ARGV[2], ARGV[3]) then return -1 end
table.remove(ARGV, 2)
table.remove(ARGV, 2)
