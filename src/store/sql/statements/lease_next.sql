-- lease_next: the earliest end of a lease that has not expired.
--
-- params  ns | now, µs
-- rows    expires_at
-- index   lease_end
SELECT expires_at
FROM lease
WHERE ns = ?
  AND expires_at > ?
ORDER BY expires_at
LIMIT 1
