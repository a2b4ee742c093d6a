-- python: a page of the tasks that the Python library TaskShed keeps in this database.
--
-- params  {after}: the last id of the page before, in hex; nothing for the first
-- rows    all columns that the table has; older versions had neither `coalesce` nor `paused_at`
-- index   the primary key (task_id), in whatever collation the table was made with
-- locks   none
SELECT *
FROM `_taskshed_data`
WHERE `task_id` > _utf8mb4 x'{after}'
ORDER BY `task_id`
LIMIT 200
