-- leader: who leads, who is barred, and who becomes idle for a suspect.
--
-- params  ns
-- rows    node, process, term, until, barred, barred_until, reserved, reserved_at
SELECT node, process, term, until, barred, barred_until, reserved, reserved_at
FROM leader
WHERE ns = ?
