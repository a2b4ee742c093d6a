-- node_insert: a beat.
--
-- params  ns, node, process, beat_at, told
INSERT INTO node (ns, node, process, beat_at, told)
VALUES (?, ?, ?, ?, ?)
