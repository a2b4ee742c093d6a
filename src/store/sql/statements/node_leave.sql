-- node_leave: takes a process out of the registry that says goodbye.
--
-- params  ns | node | process
DELETE FROM node
WHERE ns = ?
  AND node = ?
  AND process = ?
