-- namespace: the number of a namespace by its name
SELECT ns
FROM namespace
WHERE name = ?
