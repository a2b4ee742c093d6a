-- task_lost: as task_run, but passing by rows that somebody holds, such as a user's transaction.
--
-- params  ns | ids, sorted
-- rows    see row.rs, without the spec
-- index   primary key
-- guards  T3: a lease is not ended while such a row names it
SELECT id, state, run_at, planned_at, created_at, expires_at, expiring_at, paused_at, parked, attempt, crashes,
    errors, finished_at, result, fence, claim, request, outcome, watched_until, cancel_asked,
    pause_asked, plan_asked, due
FROM task /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND id IN (?*)
ORDER BY id
FOR UPDATE SKIP LOCKED
