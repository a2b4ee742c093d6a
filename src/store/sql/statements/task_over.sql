-- task_over: ended tasks of one place whose time is over.
--
-- params  ns | place | now, µs | limit
-- rows    id
-- index   task_place
SELECT id
FROM task
WHERE ns = ?
  AND place = ?
  AND due <= ?
ORDER BY due, id
LIMIT ?
