-- lease_empty: which of these leases hold nothing any more; held.
--
-- params  ns | claims, sorted
-- rows    claim
-- index   primary key; task_place and primary key of stop for what they may hold
-- why     an ack beside this one may still show its tasks: then the lease stays, without tasks,
--         until the leader ends it
SELECT claim
FROM lease
WHERE ns = ?
  AND claim IN (?*)
  AND NOT EXISTS (SELECT 1 FROM task
                  WHERE task.ns = lease.ns AND task.place = CONCAT('r:', lease.claim))
  AND NOT EXISTS (SELECT 1 FROM stop WHERE stop.ns = lease.ns AND stop.claim = lease.claim)
ORDER BY claim
FOR UPDATE
