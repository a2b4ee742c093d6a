-- task_by_id: tasks with their specs, held until the end of the transaction.
--
-- params  ns | ids, sorted
-- rows    see row.rs
-- index   primary key
-- guards  T5, T6: what is compared is what is written
SELECT id, state, run_at, planned_at, created_at, expires_at, expiring_at, paused_at, parked, attempt, crashes,
    errors, finished_at, result, fence, claim, request, outcome, watched_until, cancel_asked,
    pause_asked, plan_asked, due, spec
FROM task /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND id IN (?*)
ORDER BY id
FOR UPDATE
