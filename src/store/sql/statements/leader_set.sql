-- leader_set: gives the place to a process, or renews its term, or ends it.
--
-- params  node | process | term | until, µs | barred | barred until, µs | ns
UPDATE leader
SET node = ?, process = ?, term = ?, until = ?, barred = ?, barred_until = ?
WHERE ns = ?
