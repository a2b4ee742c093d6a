-- lease_held: which of these leases there are; held.
--
-- params  ns | claims, sorted
-- rows    claim
-- guards  T5: a lease that is lost stays lost
SELECT claim
FROM lease /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND claim IN (?*)
  /*! AND node IS NOT NULL */
ORDER BY claim
FOR UPDATE
