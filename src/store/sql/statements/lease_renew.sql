-- lease_renew: prolongs leases; their tasks are not touched.
--
-- params  ttl, µs | new end, µs | now, µs | ns | claims, sorted
UPDATE lease /*! FORCE INDEX (PRIMARY) */
SET ttl = ?, expires_at = ?, renewed_at = ?
WHERE ns = ?
  AND claim IN (?*)
