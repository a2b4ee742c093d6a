-- leader_held: as leader, held until the end of the transaction.
--
-- params  ns
-- rows    node, process, term, until, barred, barred_until, reserved, reserved_at
-- guards  L1: holder and term are read and written in one step
SELECT node, process, term, until, barred, barred_until, reserved, reserved_at
FROM leader
WHERE ns = ?
FOR UPDATE
