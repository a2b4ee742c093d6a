#!lua flags=no-writes
--[[
cluster: who is there.

ARGV    none
REPLY   {now, leader, {node, process and what it tells, last beat, ...},
         {node, process, last renewal, tasks held, ...} of remote workers, one per claim}
GUARDS  none
COST    O(nodes + leases)
WHY     Remote workers do not beat; what is known of them is their claims.
]]
-- include leader
local nodes = {}
local beats = call('ZRANGE', P .. 'beats', 0, -1, 'WITHSCORES')
for i = 1, #beats, 2 do
  local told = call('HGET', P .. 'nodes', beats[i])
  if told then
    nodes[#nodes + 1] = beats[i]
    nodes[#nodes + 1] = told
    nodes[#nodes + 1] = beats[i + 1]
  end
end
local workers = {}
local leases = call('HGETALL', P .. 'lease')
for i = 1, #leases, 2 do
  local node, process, kind, renewed = match(leases[i + 1], '^([^\t]*)\t([^\t]*)\t(%a)\t%d+\t%d+\t(%d+)\t')
  if kind == 'r' then
    workers[#workers + 1] = node
    workers[#workers + 1] = process
    workers[#workers + 1] = renewed
    workers[#workers + 1] = tonumber(call('HGET', P .. 'claim:' .. leases[i], 'left') or '0')
  end
end
return { now, leader(), nodes, workers }
