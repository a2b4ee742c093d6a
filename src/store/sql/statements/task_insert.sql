-- task_insert: puts tasks in.
--
-- params  as in row.rs
-- guards  T10: its place is the only index entry that says where it stands
INSERT INTO task (
    ns, place, queue, group_id, spec,
    id, state, run_at, planned_at, created_at, expires_at, expiring_at, paused_at, parked, attempt, crashes,
    errors, finished_at, result, fence, claim, request, outcome, watched_until, cancel_asked,
    pause_asked, plan_asked, due
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
