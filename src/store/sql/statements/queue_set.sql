-- queue_set: opens or pauses a queue.
--
-- params  paused | ns | name
UPDATE queue
SET paused = ?
WHERE ns = ?
  AND name = ?
