-- task_over: ended tasks of one place whose time is over.
--
-- params  ns | place | now, µs | limit
-- rows    due, id
-- index   task_place
SELECT due, id
FROM task /*! FORCE INDEX (task_place) */
WHERE ns = ?
  AND place = ?
  AND due <= ?
ORDER BY due, id
LIMIT ?
