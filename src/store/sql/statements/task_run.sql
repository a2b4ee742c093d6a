-- task_run: tasks without their specs, which who hands a run back brings along; held.
--
-- params  ns | ids, sorted
-- rows    see row.rs, without the spec
-- index   primary key
-- guards  T5, T6: what is compared is what is written
SELECT id, state, run_at, planned_at, created_at, expires_at, expiring_at, paused_at, parked, attempt, crashes,
    errors, finished_at, result, fence, claim, request, outcome, watched_until, cancel_asked,
    pause_asked, plan_asked, due
FROM task /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND id IN (?*)
ORDER BY id
FOR UPDATE
