-- places: the places in a range where tasks stand, and what is due first in each.
--
-- params  ns | first place | end of the range | ns | end of the range | ns
-- rows    place, due of its first task
-- index   task_place, one jump per place however many tasks stand there
WITH RECURSIVE found (place) AS (
    SELECT MIN(task.place) FROM task WHERE task.ns = ? AND task.place >= ? AND task.place < ?
    UNION ALL
    SELECT (SELECT MIN(task.place) FROM task
            WHERE task.ns = ? AND task.place > found.place AND task.place < ?)
    FROM found
    WHERE found.place IS NOT NULL
)
SELECT found.place, (SELECT MIN(task.due) FROM task WHERE task.ns = ? AND task.place = found.place)
FROM found
WHERE found.place IS NOT NULL
