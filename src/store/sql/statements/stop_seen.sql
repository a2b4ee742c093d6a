-- stop_seen: which tasks are held by superseded runs that have not let go; not held against others.
--
-- params  ns | ids
-- rows    id
-- index   stop_task
-- guards  T3
SELECT id
FROM stop /*! FORCE INDEX (stop_task) */
WHERE ns = ?
  AND id IN (?*)
  AND superseded = 1
