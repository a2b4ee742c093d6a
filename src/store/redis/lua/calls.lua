--[[
calls: what scripts share that ask whether a key is there, or write many things under one.

ARGV    none

REPLY   none
GUARDS  none by itself
COST    one call; one per thousand items
WHY     An add of one task needs neither.
]]
local function exists(name)
  return call('EXISTS', P .. name) == 1
end

-- Calls `command` with `items` behind `key`, a bounded number at a time.
local function in_parts(command, key, items)
  for first = 1, #items, 1000 do
    call(command, key, unpack(items, first, math.min(first + 999, #items)))
  end
end
