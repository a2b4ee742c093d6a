-- lease_remote: leases of remote workers, with how many tasks they hold.
--
-- params  ns
-- rows    node, process, renewed_at, tasks
SELECT lease.node, lease.process, lease.renewed_at,
    (SELECT COUNT(*) FROM task WHERE task.ns = lease.ns AND task.place = CONCAT('r:', lease.claim))
        + (SELECT COUNT(*) FROM stop
           WHERE stop.ns = lease.ns AND stop.claim = lease.claim AND stop.superseded = 1)
FROM lease
WHERE lease.ns = ?
  AND lease.kind = 'remote'
