-- node_delete: takes a process out of the registry, or makes room for its next beat.
--
-- params  ns | node
DELETE FROM node
WHERE ns = ?
  AND node = ?
