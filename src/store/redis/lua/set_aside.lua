#!lua flags=allow-oom
--[[
set_aside: take tasks whose records cannot be read from the claim that met them.

ARGV
  2 claim
  3+ ids, at most 1000

REPLY   1
GUARDS  T1 the record is kept as it is, and named by doctor and by every listing
COST    a few calls per task
WHY     Scripts never decode a spec, so only the claimer can find that it is damaged.
]]
-- include calls
-- include hints
-- include claims
-- include tasks
local claim = ARGV[2]
for i = 3, #ARGV do
  local id = ARGV[i]
  if run_of(id) == claim then
    local h = header(call('HGET', P .. 'rec', id))
    call('HDEL', P .. 'running', id)
    drop_from(claim, 1)
    call('ZADD', P .. 'corrupt', NOW, id)
    if h then bump(h.queue, 'running', -1) end
  elseif is_ghost(id, claim) then
    let_go(id, claim)
  end
end
close_claim(claim)
finish()
return 1
