-- place_front: what stands in a place from a spot on, and whether anything stands beside that place.
--
-- params  ns | place before them all | place | ns | place | due, id, due of the spot
--         | ns | place | end of the range
-- rows    place, due and id of a task: the last one before the place, the first one behind the spot, the
--         last one after the place; up to three
-- index   task_place: one entry each
-- why     backwards, because before the first task of a busy place, and behind the last lane, are many
--         entries that were not purged
SELECT *
FROM (
    SELECT place, due, id
    FROM task /*! FORCE INDEX (task_place) */
    WHERE ns = ?
      AND place > ?
      AND place < ?
    ORDER BY place DESC, due DESC, id DESC
    LIMIT 1
) found
UNION ALL
SELECT *
FROM (
    SELECT place, due, id
    FROM task /*! FORCE INDEX (task_place) */
    WHERE ns = ?
      AND place = ?
      AND (due = ? AND id > ? OR due > ?)
    ORDER BY due, id
    LIMIT 1
) found
UNION ALL
SELECT *
FROM (
    SELECT place, due, id
    FROM task /*! FORCE INDEX (task_place) */
    WHERE ns = ?
      AND place > ?
      AND place < ?
    ORDER BY place DESC, due DESC, id DESC
    LIMIT 1
) found
