-- lease_delete: ends leases.
--
-- params  ns | claims, sorted
DELETE FROM lease
WHERE ns = ?
  AND claim IN (?*)
