#!lua flags=allow-oom
--[[
ack: apply the outcomes of runs.

ARGV
  2  how long cancelled tasks are kept, us
  3+ blocks of one claim each:
     "P", claim, fence, queue, n, count of results, n ids, results (none, one for all, or n):
        completed tasks that run once, keep nothing, and have neither group nor unique key
     "G", claim, fence, id, "E", state, keep us, "", attempt, crashes, errors, result
     "G", claim, fence, id, "A", why, moment, planned_at, attempt, crashes, errors, result

REPLY   one text of one digit per task, in the order given: 1 accepted, 0 stale
GUARDS  T5 claim, fence and task must fit; T6 who is accepted leaves the claim in the same step
COST    a "P" block costs a fixed number of variadic calls, a "G" block about twenty
WHY     What a task runs under decides. A run that was replaced or removed lets go, so that its
        successor can run, and its outcome is stale.
        What only rare outcomes need is made when the first of them is met.
]]
-- include calls
-- include hints
-- include claims
local replies = {}
local touched = {}
local is_rare = call('EXISTS', P .. 'watched', P .. 'st', P .. 'ghost', P .. 'res', P .. 'asked',
  P .. 'stopping') > 0
local has_watched, has_states = is_rare and exists('watched'), is_rare and exists('st')
local has_ghosts = is_rare and exists('ghost')

local function finish_plain(claim, queue, ids)
  if #ids == 0 then return end
  drop_from(claim, #ids)
  in_parts('HDEL', P .. 'running', ids)
  in_parts('HDEL', P .. 'rec', ids)
  if has_states then in_parts('HDEL', P .. 'st', ids) end
  if is_rare then
    in_parts('HDEL', P .. 'res', ids)
    in_parts('HDEL', P .. 'asked', ids)
    in_parts('HDEL', P .. 'stop:' .. claim, ids)
  end
  bump(queue, 'running', -#ids)
end

-- What `plain` needs where something rare is there; made further down.
local rare = {}

local function plain(at)
  local claim, fence, queue = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local count, result_count = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local first = at + 6
  local after = first + count + result_count
  if fence_of(claim) ~= fence then
    replies[#replies + 1] = string.rep('0', count)
    return after
  end

  touched[claim] = true
  local runs = call('HMGET', P .. 'running', unpack(ARGV, first, first + count - 1))
  local watched = has_watched and call('ZMSCORE', P .. 'watched', unpack(ARGV, first, first + count - 1))
    or {}
  local done, digits = {}, {}
  local start, length = claim .. '\t', #claim + 1
  -- A run of this claim: most have one run_at, and then all of this is one text.
  local known
  for i = 1, count do
    local id, run = ARGV[first + i - 1], runs[i]
    digits[i] = '0'
    if run and run ~= known and string.sub(run, 1, length) == start then known = run end
    if not run or run ~= known then
      if has_ghosts and is_ghost(id, claim) then rare.let_go(id, claim) end
    else
      digits[i] = '1'
      if watched[i] then
        local result = ''
        if result_count == 1 then
          result = ARGV[first + count]
        elseif result_count > 1 then
          result = ARGV[first + count + i - 1]
        end
        rare.apply_watched(claim, fence, id, match(run, '\t(%d+)\t'), result)
      else
        done[#done + 1] = id
      end
    end
  end
  finish_plain(claim, queue, done)
  replies[#replies + 1] = table.concat(digits)
  return after
end

local at = 3
if not is_rare then
  while ARGV[at] == 'P' do at = plain(at) end
end
if ARGV[at] then
  -- include tasks
  rare.let_go = let_go

  function rare.apply_watched(claim, fence, id, run_at, result)
    local h = header(call('HGET', P .. 'rec', id))
    local s = state_of(call('HGET', P .. 'st', id))
    apply(id, h, claim, fence, run_at, {
      kind = 'E', word = 'completed', keep = '0', attempt = us(tonumber(s.attempt) + 1), crashes = '0',
      errors = s.errors, result = result, keep_cancelled = ARGV[2],
    })
  end

  local function general(at)
    local claim, fence, id = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local digit = '0'
    local holder, run_at = run_of(id)
    if fence_of(claim) ~= fence then
      holder = nil
    elseif holder ~= claim and has_ghosts and is_ghost(id, claim) then
      let_go(id, claim)
      touched[claim] = true
    end
    if holder == claim then
      local h = header(call('HGET', P .. 'rec', id))
      if h then
        apply(id, h, claim, fence, run_at, {
          kind = ARGV[at + 4], word = ARGV[at + 5], keep = ARGV[at + 6], at = ARGV[at + 6],
          planned = ARGV[at + 7], attempt = ARGV[at + 8], crashes = ARGV[at + 9],
          errors = ARGV[at + 10], result = ARGV[at + 11], keep_cancelled = ARGV[2],
        })
        touched[claim] = true
        digit = '1'
      end
    end
    replies[#replies + 1] = digit
    return at + 12
  end

  while ARGV[at] do
    if ARGV[at] == 'P' then at = plain(at) else at = general(at) end
  end
end
for claim in pairs(touched) do close_claim(claim) end
finish()
return table.concat(replies)
