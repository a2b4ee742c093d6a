-- queue_insert: makes queues known.
--
-- params  ns, name, paused
INSERT INTO queue (ns, name, paused)
VALUES (?, ?, ?)
