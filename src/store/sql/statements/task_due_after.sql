-- task_due_after: as task_due, from a spot of the lane on.
--
-- params  ns | place | due, id, due of the spot | horizon, µs | limit
-- rows    see row.rs
-- index   task_place: two ranges in its order, that of the spot's moment and that of later ones
-- locks   the chosen rows only; rows that others hold are passed by
-- why     not `task_due` with a spot before all others: SQLite would read on behind the horizon
-- guards  T3 one live lease per task; T8 none before its run_at
SELECT id, state, run_at, planned_at, created_at, expires_at, expiring_at, paused_at, parked, attempt, crashes,
    errors, finished_at, result, fence, claim, request, outcome, watched_until, cancel_asked,
    pause_asked, plan_asked, due, spec
FROM task /*! FORCE INDEX (task_place) */
WHERE ns = ?
  AND place = ?
  AND (due = ? AND id > ? OR due > ? AND due <= ?)
ORDER BY due, id
LIMIT ?
FOR UPDATE SKIP LOCKED
