-- drain_insert: tells a process to drain. A row without a claim is such an order.
--
-- params  ns, claim, id, superseded, fence
INSERT INTO stop (ns, claim, id, superseded, fence)
VALUES (?, ?, ?, ?, ?)
