-- unique_key: which live tasks hold unique keys; held.
--
-- params  ns | keys, sorted
-- rows    name, id
-- guards  S2
SELECT name, id
FROM unique_key /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND name IN (?*)
ORDER BY name
FOR UPDATE
