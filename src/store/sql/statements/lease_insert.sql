-- lease_insert: a new lease.
--
-- params  ns, claim, node, process, kind, ttl, grace, expires_at, renewed_at, fence
-- guards  T3: a claim whose twin was first meets the primary key, and is taken again
INSERT INTO lease (ns, claim, node, process, kind, ttl, grace, expires_at, renewed_at, fence)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
