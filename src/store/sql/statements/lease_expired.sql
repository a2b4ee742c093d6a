-- lease_expired: leases whose end has passed, earliest end first.
--
-- params  ns | now, µs | limit
-- rows    see leases.rs
-- index   lease_end
SELECT lease.claim, lease.node, lease.process, lease.kind, lease.ttl, lease.grace, lease.expires_at, lease.renewed_at,
    node.process, node.beat_at
FROM lease
LEFT JOIN node ON node.ns = lease.ns AND node.node = lease.node
WHERE lease.ns = ?
  AND lease.expires_at <= ?
ORDER BY lease.expires_at, lease.claim
LIMIT ?
