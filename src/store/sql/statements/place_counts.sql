-- place_counts: how many tasks stand in each place of a range, and how many of them are due.
--
-- params  now, µs | ns | first place | end of the range
-- rows    place, count, due count, due of its first task
-- index   task_place alone; reads one entry per task
SELECT place, COUNT(*), SUM(CASE WHEN due <= ? THEN 1 ELSE 0 END), MIN(due)
FROM task
WHERE ns = ?
  AND place >= ?
  AND place < ?
GROUP BY place
