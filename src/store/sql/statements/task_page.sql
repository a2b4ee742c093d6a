-- task_page: a page of all tasks in the order of their ids.
--
-- params  ns | id to start after | limit
-- rows    see row.rs
-- index   primary key
SELECT id, state, run_at, planned_at, created_at, expires_at, expiring_at, paused_at, parked, attempt, crashes,
    errors, finished_at, result, fence, claim, request, outcome, watched_until, cancel_asked,
    pause_asked, plan_asked, due, spec
FROM task
WHERE ns = ?
  AND id > ?
ORDER BY id
LIMIT ?
