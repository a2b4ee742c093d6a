-- node_all: the processes that beat.
--
-- params  ns
-- rows    node, process, beat_at, told
SELECT node, process, beat_at, told
FROM node
WHERE ns = ?
ORDER BY beat_at, node
