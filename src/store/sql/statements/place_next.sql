-- place_next: the next place of a range where tasks stand, and what is due first there.
--
-- params  ns | place before it | end of the range
-- rows    place, due and id of its first task
-- index   task_place: its first entry after a place, however many tasks stand there
-- why     one statement per place: a recursive one with a subquery for each reads, on MariaDB, all
--         tasks of a place
SELECT place, due, id
FROM task /*! FORCE INDEX (task_place) */
WHERE ns = ?
  AND place > ?
  AND place < ?
ORDER BY place, due, id
LIMIT 1
