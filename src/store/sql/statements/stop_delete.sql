-- stop_delete: runs of tasks have ended, or need not stop any more.
--
-- params  ns | ids
-- index   stop_task
-- why     a row without a claim tells a process to drain, and a task may have any id
DELETE /*! stop */ FROM stop /*! FORCE INDEX (stop_task) */
WHERE ns = ?
  AND id IN (?*)
  AND claim <> ''
  /*! AND fence IS NOT NULL */
