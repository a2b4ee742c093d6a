-- lease_all: all leases after the first few, in the order of their ends.
--
-- params  ns | limit | how many to pass over
-- rows    see leases.rs
-- index   lease_end
SELECT lease.claim, lease.node, lease.process, lease.kind, lease.ttl, lease.grace, lease.expires_at, lease.renewed_at,
    node.process, node.beat_at
FROM lease
LEFT JOIN node ON node.ns = lease.ns AND node.node = lease.node
WHERE lease.ns = ?
ORDER BY lease.expires_at, lease.claim
LIMIT ? OFFSET ?
