-- task_expired: tasks that were not started in time.
--
-- params  ns | now, µs | limit
-- rows    id
-- index   task_expiring
SELECT id
FROM task
WHERE ns = ?
  AND expiring_at <= ?
ORDER BY expiring_at, id
LIMIT ?
