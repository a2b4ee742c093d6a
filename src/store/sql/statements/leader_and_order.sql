-- leader_and_order: who leads, as in leader, and whether a process is to drain.
--
-- params  ns | process | ns
-- rows    node, process, term, until, barred, barred_until, reserved, reserved_at, 1 or 0
-- index   primary keys
-- why     one statement, so that the order costs beats no round trip
SELECT node, process, term, until, barred, barred_until, reserved, reserved_at,
  (SELECT COUNT(*) FROM stop WHERE ns = ? AND claim = '' AND id = ?)
FROM leader
WHERE ns = ?
