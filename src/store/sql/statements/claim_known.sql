-- claim_known: whether a claim has a lease, or ended lately.
--
-- params  ns | claim | ns | claim
-- rows    1 for a lease, 2 for one that ended
SELECT 1 FROM lease WHERE ns = ? AND claim = ?
UNION ALL
SELECT 2 FROM ended_claim WHERE ns = ? AND claim = ?
