-- lease_end_held: the end of a lease; held.
--
-- params  ns | claim
-- rows    expires_at
-- guards  T3: a lease that was renewed meanwhile is left alone
SELECT expires_at
FROM lease /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND claim = ?
FOR UPDATE
