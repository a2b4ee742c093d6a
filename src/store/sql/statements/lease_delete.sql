-- lease_delete: ends leases.
--
-- params  ns | claims, sorted
DELETE /*! lease */ FROM lease /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND claim IN (?*)
  /*! AND node IS NOT NULL */
