-- damaged: some tasks of a namespace that were set aside because their records cannot be read
SELECT id
FROM task
WHERE ns = ?
  AND place = 'x'
ORDER BY due, id
LIMIT 10
