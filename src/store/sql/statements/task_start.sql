-- task_start: leases tasks that are held to a claim.
--
-- params  place of the claim | claim | fence | ns | ids, sorted
-- index   primary key; moves one entry of task_place per task
-- guards  T3, T4
UPDATE task /*! FORCE INDEX (PRIMARY) */
SET place = ?, state = 'running', claim = ?, fence = ?, expiring_at = NULL, parked = 0
WHERE ns = ?
  AND id IN (?*)
