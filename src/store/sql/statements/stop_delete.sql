-- stop_delete: runs of tasks have ended, or need not stop any more.
--
-- params  ns | ids
-- index   stop_task
DELETE /*! stop */ FROM stop /*! FORCE INDEX (stop_task) */
WHERE ns = ?
  AND id IN (?*)
