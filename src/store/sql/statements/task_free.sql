-- task_free: as task_by_id, but passing by rows that somebody holds.
--
-- params  ns | ids, sorted
-- rows    see row.rs
-- index   primary key
SELECT id, state, run_at, planned_at, created_at, expires_at, expiring_at, paused_at, parked, attempt, crashes,
    errors, finished_at, result, fence, claim, request, outcome, watched_until, cancel_asked,
    pause_asked, plan_asked, due, spec
FROM task /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND id IN (?*)
ORDER BY id
FOR UPDATE SKIP LOCKED
