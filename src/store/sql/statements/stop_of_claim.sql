-- stop_of_claim: runs under claims that are to stop.
--
-- params  ns | claims
-- rows    claim, id, superseded
-- index   primary key
SELECT claim, id, superseded
FROM stop /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND claim IN (?*)
ORDER BY claim, id
