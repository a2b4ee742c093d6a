-- node_process: the process that beats under a name.
--
-- params  ns | node
-- rows    process
-- index   primary key
SELECT process
FROM node
WHERE ns = ?
  AND node = ?
