#!lua flags=allow-oom
--[[
leases: show leases to the leader.

ARGV
  2 process of the leader | 3 its term
  4 "expired", "all" or "claims"
  5 for "all": how many to pass over; for "claims": the claim ids, at most 1000

REPLY   -1 if the mandate is over, else now, the earliest end of a lease that has not expired or
        "" (not for "claims"), and per lease {claim, node, process, kind, ttl, grace, end, crashed,
        rows of the tasks it holds}
GUARDS  L1; a store that cannot write does not answer
COST    O(leases), and of the tasks only for "claims"
WHY     The look is itself a write: a store that refuses writes refuses the renewals, too, and must
        not look as if its leases had ended by themselves.
        A process that has beaten after the lease's last renewal lives, and did not know the claim.
]]
-- include calls
-- include leader
-- include hints
-- include claims
-- include tasks
if not leads(ARGV[2], ARGV[3]) then return -1 end
call('HSET', P .. 'leader', 'looked', NOW)

local found = {}
if ARGV[4] == 'expired' then
  found = call('ZRANGE', P .. 'leases', '-inf', NOW, 'BYSCORE', 'LIMIT', 0, 1000, 'WITHSCORES')
elseif ARGV[4] == 'all' then
  local skip = tonumber(ARGV[5])
  found = call('ZRANGE', P .. 'leases', us(skip), us(skip + 999), 'WITHSCORES')
else
  for i = 5, #ARGV do
    local lease_end = call('ZSCORE', P .. 'leases', ARGV[i])
    if lease_end then
      found[#found + 1] = ARGV[i]
      found[#found + 1] = lease_end
    end
  end
end

local function seems_dead(node, process, kind, renewed)
  if kind == 'r' then return true end
  local known = call('HGET', P .. 'nodes', node)
  if not known or match(known, '^[^\t]*') ~= process then return true end
  local beat = call('ZSCORE', P .. 'beats', node)
  return not beat or tonumber(beat) <= tonumber(renewed)
end

local out = {}
for i = 1, #found, 2 do
  local claim = found[i]
  local lease = call('HGET', P .. 'lease', claim) or ''
  local node, process, kind, ttl, grace, renewed =
    match(lease, '^([^\t]*)\t([^\t]*)\t(%a)\t(%d+)\t(%d+)\t(%d+)\t%d+$')
  if node then
    local rows = {}
    if ARGV[4] == 'claims' then
      for _, id in ipairs(taken_by(claim)) do
        if run_of(id) == claim then rows[#rows + 1] = row(id) end
      end
    end
    out[#out + 1] = { claim, node, process, kind, ttl, grace, found[i + 1],
      seems_dead(node, process, kind, renewed) and 1 or 0, rows }
  end
end
local later = {}
if ARGV[4] ~= 'claims' then
  later = call('ZRANGE', P .. 'leases', '(' .. NOW, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
end
return { now, later[2] or '', out }
