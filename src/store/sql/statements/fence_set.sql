-- fence_set: a term acts. A write, so that a store which refuses writes lets no look through.
--
-- params  term | now, µs | ns
UPDATE fence
SET term = ?, looked_at = ?
WHERE ns = ?
