-- task_known: which of these tasks there are; not held.
--
-- params  ns | ids, sorted
-- rows    id
-- index   primary key
SELECT id
FROM task /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND id IN (?*)
