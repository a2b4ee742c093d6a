#!lua flags=no-writes
--[[
keeps: whether a partition knows a claim.

ARGV
  2 claim

REPLY   1 if it holds tasks or ended lately, else 0
GUARDS  T3 a claim that is repeated elsewhere finds the tasks that it holds
COST    two lookups
WHY     A claim takes from one partition, and who repeats it need not be who was asked first.
]]
if call('HEXISTS', P .. 'lease', ARGV[2]) == 1 then return 1 end
if call('ZSCORE', P .. 'ended_claims', ARGV[2]) then return 1 end
return 0
