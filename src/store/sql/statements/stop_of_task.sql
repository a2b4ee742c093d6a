-- stop_of_task: superseded runs of tasks, which have not let go; held.
--
-- params  ns | ids
-- rows    id, claim, fence
-- index   stop_task
-- guards  T3
SELECT id, claim, fence
FROM stop /*! FORCE INDEX (stop_task) */
WHERE ns = ?
  AND id IN (?*)
  AND superseded = 1
FOR UPDATE
