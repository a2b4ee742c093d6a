--[[
leader: who leads, for the scripts that ask.

ARGV    none

REPLY   none
GUARDS  L1
COST    one call for each question
WHY     It is asked by a few scripts only.
]]
-- Whether `process` leads in `term` (L1).
local function leads(process, term)
  local leader = call('HMGET', P .. 'leader', 'process', 'term', 'until')
  return leader[1] == process and leader[2] == term and tonumber(leader[3]) > now
end

-- Who leads: node, process, term, until; empty if nobody does.
local function leader()
  local found = call('HMGET', P .. 'leader', 'node', 'process', 'term', 'until')
  if found[4] and tonumber(found[4]) > now then return found end
  return {}
end
