#!lua
--[[
add_one: keep one task that nothing is in the way of.

ARGV
  2  id
  3  priority digit, ":", queue
  4  run_at
  5  what its record has before created_at, callback first
  6  request id
  7  spec JSON

REPLY   now; "" if there is a task of that id, or a run of one: nothing is written then, and `add` is for it
GUARDS  T1, T3 a successor waits, S2, all of them by leaving what is not new to `add`
COST    five calls, and a few per process that is woken
WHY     Most programs add one task at a time: one without unique key, group, expiry or pause needs
        two thirds of what `add` takes for it.
        No allow-oom: a full server refuses before anything is written.
]]
local id, place, run_at = ARGV[2], ARGV[3], moment(ARGV[4])
local is_quiet = call('EXISTS', P .. 'ghost', P .. 'wants') == 0
if not is_quiet and call('HEXISTS', P .. 'ghost', id) == 1 then return '' end
local record = ARGV[5] .. NOW .. '\t\t' .. ARGV[6] .. '\tC\n' .. ARGV[7]
if call('HSETNX', P .. 'rec', id, record) == 0 then return '' end

local queue = string.sub(place, 3)
call('ZADD', P .. 'due:' .. place, run_at, id)
call('SADD', P .. 'queues', queue)
if is_quiet then return NOW end
-- include hints
hint(queue, match(ARGV[5], '^[^\t]*'), run_at, 1)
finish()
return NOW
