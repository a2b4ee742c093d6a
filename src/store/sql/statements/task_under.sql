-- task_under: tasks in some places, such as those that run under claims.
--
-- params  ns | places
-- rows    see row.rs
-- index   task_place
SELECT id, state, run_at, planned_at, created_at, expires_at, expiring_at, paused_at, parked, attempt, crashes,
    errors, finished_at, result, fence, claim, request, outcome, watched_until, cancel_asked,
    pause_asked, plan_asked, due, spec
FROM task /*! FORCE INDEX (task_place) */
WHERE ns = ?
  AND place IN (?*)
ORDER BY place, due, id
