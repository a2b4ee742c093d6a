-- ended_claim_prune: forgets claims that ended long ago.
--
-- params  ns | moment, µs
-- index   ended_claim_at
DELETE FROM ended_claim
WHERE ns = ?
  AND ended_at <= ?
