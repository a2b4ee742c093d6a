-- running_counts: how many tasks of each queue run.
--
-- params  ns
-- rows    queue, count
-- index   task_place; reads the rows of running tasks
SELECT queue, COUNT(*)
FROM task
WHERE ns = ?
  AND place >= 'r:'
  AND place < 'r;'
GROUP BY queue
