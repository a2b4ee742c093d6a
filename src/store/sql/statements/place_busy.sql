-- place_busy: in which of these places tasks stand.
--
-- params  ns | places
-- rows    place
-- index   task_place
SELECT DISTINCT place
FROM task /*! FORCE INDEX (task_place) */
WHERE ns = ?
  AND place IN (?*)
