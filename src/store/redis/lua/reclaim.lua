#!lua flags=allow-oom
--[[
reclaim: end a lease whose holder is gone, and apply a verdict to each task that it still holds.

ARGV
  2 process of the leader | 3 its term | 4 claim | 5 lease end as it was seen, us
  6 how long cancelled tasks are kept, us
  7+ ten per task: id, fence, kind, word, keep us or moment, planned_at, attempt, crashes, errors,
     result

REPLY   -1 if the mandate is over, else how many tasks were taken
GUARDS  L1 an older term changes nothing; T5 a lease with another end is left alone; T3
COST    about twenty calls per task
WHY     Tasks that no verdict names stay with the lease: it is looked at again.
]]
-- include calls
-- include leader
-- include hints
-- include claims
-- include tasks
if not leads(ARGV[2], ARGV[3]) then return -1 end
local claim = ARGV[4]
local lease_end = call('ZSCORE', P .. 'leases', claim)
if not lease_end or tonumber(lease_end) ~= tonumber(ARGV[5]) then return 0 end

local fence = fence_of(claim)
local taken = 0
for i = 7, #ARGV, 10 do
  local id = ARGV[i]
  local holder, run_at = run_of(id)
  local h = holder == claim and ARGV[i + 1] == fence and header(call('HGET', P .. 'rec', id))
  if h then
    apply(id, h, claim, fence, run_at, {
      kind = ARGV[i + 2], word = ARGV[i + 3], keep = ARGV[i + 4], at = ARGV[i + 4],
      planned = ARGV[i + 5], attempt = ARGV[i + 6], crashes = ARGV[i + 7], errors = ARGV[i + 8],
      result = ARGV[i + 9], keep_cancelled = ARGV[6],
    })
    taken = taken + 1
  end
end

for _, id in ipairs(taken_by(claim)) do
  if is_ghost(id, claim) then let_go(id, claim) end
end
close_claim(claim)
finish()
return taken
