-- task_watch: notes that somebody waits for tasks to end.
--
-- params  until when, µs | ns | ids, sorted | until when, µs
-- index   primary key
UPDATE task /*! FORCE INDEX (PRIMARY) */
SET watched_until = ?
WHERE ns = ?
  AND id IN (?*)
  AND state IN ('scheduled', 'running')
  AND COALESCE(watched_until, 0) < ?
