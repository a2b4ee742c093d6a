-- task_group: the ids of a group's tasks.
--
-- params  ns | group
-- rows    id
-- index   task_group
SELECT id
FROM task
WHERE ns = ?
  AND group_id = ?
ORDER BY id
