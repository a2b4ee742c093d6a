-- queue_all: all queues.
--
-- params  ns
-- rows    name, paused
SELECT name, paused
FROM queue
WHERE ns = ?
ORDER BY name
