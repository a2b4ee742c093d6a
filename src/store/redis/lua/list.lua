#!lua flags=no-writes
--[[
list: one page of the tasks that match a filter.

ARGV
  2 group or "" | 3 queue or "" | 4 state or "" | 5 callback or "" | 6 about how many | 7 cursor

REPLY   {next cursor, "0" after the last; rows as row() makes them, each with two more texts: "x" if
        the task still can expire, and what was asked of it; ids of records that cannot be read}
GUARDS  a task that matches throughout is in at least one page, as SCAN promises
COST    about ARGV[6] entries of one index
WHY     Walks what a task stays in while it matches: its group, the running ones, those that ended
        alike, else all records. Lanes are not walked: a task moves between them and could be
        missed.
]]
-- include calls
-- include hints
-- include claims
-- include tasks
local group, queue, state, callback = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local index, command, step = 'rec', 'HSCAN', 2
if group ~= '' then
  index, command, step = 'group:' .. group, 'SSCAN', 1
elseif state == 'running' then
  index = 'running'
elseif state ~= '' and state ~= 'scheduled' then
  index, command = 'ended:' .. state, 'ZSCAN'
end

local function state_in(found)
  if found[6] == 'running' then return 'running' end
  if found[4] ~= '' then return match(found[4], '^%l+') end
  return 'scheduled'
end

local has_asked = exists('asked')

-- What nobody is shown of a task, behind what everybody is.
local function with_unseen(found, h)
  local id = found[1]
  found[12] = h.expires ~= '' and call('ZSCORE', P .. 'expires', id) and 'x' or ''
  found[13] = has_asked and call('HGET', P .. 'asked', id) or ''
  return found
end

local page = call(command, P .. index, ARGV[7], 'COUNT', ARGV[6])
local rows, corrupt = {}, {}
for i = 1, #page[2], step do
  local id = page[2][i]
  local record = index == 'rec' and page[2][i + 1] or call('HGET', P .. 'rec', id)
  local h = header(record)
  if record and not h then
    corrupt[#corrupt + 1] = id
  elseif h and (queue == '' or h.queue == queue) and (callback == '' or h.callback == callback) then
    local found = row(id)
    if state == '' or state_in(found) == state then rows[#rows + 1] = with_unseen(found, h) end
  end
end
return { page[1], rows, corrupt }
