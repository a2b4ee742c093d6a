-- leader_reserve: a process becomes idle for a suspect.
--
-- params  process | now, µs | ns
UPDATE leader
SET reserved = ?, reserved_at = ?
WHERE ns = ?
