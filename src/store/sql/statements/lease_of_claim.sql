-- lease_of_claim: leases by their claims.
--
-- params  ns | claims
-- rows    see leases.rs
SELECT lease.claim, lease.node, lease.process, lease.kind, lease.ttl, lease.grace, lease.expires_at, lease.renewed_at,
    node.process, node.beat_at
FROM lease /*! FORCE INDEX (PRIMARY) */
LEFT JOIN node ON node.ns = lease.ns AND node.node = lease.node
WHERE lease.ns = ?
  AND lease.claim IN (?*)
