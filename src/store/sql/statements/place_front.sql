-- place_front: what stands in a place from a spot on, and the next place before and after that one.
--
-- params  ns | place before them all | place | ns | place | due, id, due of the spot
--         | ns | place | end of the range
-- rows    place, due and id of its first task; up to three
-- index   task_place: one entry each
SELECT *
FROM (
    SELECT place, due, id
    FROM task /*! FORCE INDEX (task_place) */
    WHERE ns = ?
      AND place > ?
      AND place < ?
    ORDER BY place, due, id
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
    ORDER BY place, due, id
    LIMIT 1
) found
