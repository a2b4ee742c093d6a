-- stop_delete: runs of tasks have ended, or need not stop any more.
--
-- params  ns | ids
-- index   stop_task
DELETE FROM stop
WHERE ns = ?
  AND id IN (?*)
