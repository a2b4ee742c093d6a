-- lease_by_claim: leases, to show tasks under them.
--
-- params  ns | claims
-- rows    claim, node, expires_at, fence
-- index   primary key
SELECT claim, node, expires_at, fence
FROM lease /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND claim IN (?*)
