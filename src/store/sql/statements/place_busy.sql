-- place_busy: in which of these places tasks stand.
--
-- params  ns | places
-- rows    place
-- index   task_place
SELECT DISTINCT place
FROM task
WHERE ns = ?
  AND place IN (?*)
