-- namespace: the number of a namespace.
SELECT ns
FROM namespace
WHERE name = ?
