#!lua flags=allow-oom
--[[
watch: note that somebody waits for tasks to end.

ARGV
  2 how long, us
  3+ ids, at most 1000

REPLY   1
GUARDS  T10 only tasks that are there and have not ended are noted
COST    three lookups per task
WHY     GT: who waits longest counts.
]]
local until_at = us(now + tonumber(ARGV[2]))
for i = 3, #ARGV do
  if call('HEXISTS', P .. 'rec', ARGV[i]) == 1 and call('HEXISTS', P .. 'fin', ARGV[i]) == 0 then
    call('ZADD', P .. 'watched', 'GT', until_at, ARGV[i])
  end
end
return 1
